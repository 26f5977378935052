"""What a practitioner would measure of four kinds of small networks: the report, and an attack beside it."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tutorial_lib.book.data import ImageSplit, load_images
from tutorial_lib.estimates import Estimate, ratio_of_means
from tutorial_lib.images.attacks import L2Ball, attack, untargeted
from tutorial_lib.images.classifiers import train_classifier
from tutorial_lib.images.networks import new_network
from tutorial_lib.images.transformations import Transformations
from tutorial_lib.perturbations import uniform_in_ball
from tutorial_lib.randomness import random_stream
from tutorial_lib.reports import classifier_report
from tutorial_lib.stability import stability_per_input

WHOLE_BALL = (-inf, inf)


@dataclass(frozen=True)
class NetworkRow:
    """One network at one stage of training, measured at one radius.

    ``stability``: P / radius. ``over_lead``: the same over the mean lead. ``random`` and ``chosen``: shares of answers
    that a random and the worst change alter, to first order, as the report gives them. ``attacked``: the share that an
    attack alters, anywhere in the ball; ``attacked_in_range``: if pixels stay in [0, 1] (both in float32, which is
    enough to count). ``agreement``: the mean true length of random changes of the outputs over that to first order.
    """

    kind: str
    seed: int
    num_epochs: int
    radius: float
    stability: float
    over_lead: float
    accuracy: float
    loss: float
    random: float
    chosen: float
    attacked: float
    attacked_in_range: float
    agreement: float


def mnist() -> ImageSplit:
    """Return the images that come with the package: 768 to train, 256 to measure."""
    return load_images("mnist", num_train=768, num_test=256)


def trained_network(kind: str, *, seed: int, num_epochs: int) -> nn.Module:
    """Return one network after so many epochs of Adam on the 768 images, in eval mode."""
    network = new_network(kind, generator=random_stream(seed, f"weights of {kind}"))
    if num_epochs > 0:
        images = mnist()
        train_classifier(
            network,
            images.train_images,
            images.train_classes,
            num_epochs=num_epochs,
            batch_size=64,
            transformations=Transformations(),
            generator=random_stream(seed, "batches"),
        )
    return network


def share_attacked(
    network: nn.Module,
    x: Float[Tensor, "batch channels height width"],
    radius: float,
    *,
    num_steps: int = 20,
    pixel_range: tuple[float, float] = WHOLE_BALL,
) -> Estimate:
    """Return the share of inputs whose answer an attack within the radius alters, right or wrong; error over inputs."""
    with torch.no_grad():
        answers = network(x).argmax(dim=1)
    ends = attack(untargeted(network, answers), x, L2Ball(radius), num_steps=num_steps, pixel_range=pixel_range)
    with torch.no_grad():
        return Estimate.from_draws((network(ends).argmax(dim=1) != answers).double().tolist())


def true_over_first_order(
    network: nn.Module, x: Float[Tensor, "batch ..."], radius: float, *, num_draws: int = 4
) -> Estimate:
    """Return the mean length of the true change of the outputs over that to first order, with the error over inputs.

    For random changes of the inputs, uniform in the ball: ``num_draws`` true ones of each input; the mean to first
    order is exact. 1 where the network is linear within the radius.
    """
    stream = random_stream(0, "changes of the input")
    with torch.no_grad():
        before = network(x)
        moved = [network(x + uniform_in_ball(x, radius=radius, generator=stream)) for _ in range(num_draws)]
        lengths = [(after - before).reshape(len(x), -1).norm(dim=1) for after in moved]
    true = torch.stack(lengths).double().mean(dim=0) / radius
    return ratio_of_means(true.tolist(), stability_per_input(network, x).tolist())


def network_rows(kind: str, *, seed: int, num_epochs: int, radii: Sequence[float]) -> Iterator[NetworkRow]:
    """Train one network and measure it at each radius."""
    network, images = trained_network(kind, seed=seed, num_epochs=num_epochs), mnist()
    with torch.no_grad():
        loss = float(cross_entropy(network(images.train_images), images.train_classes))
    x, single, single_x = images.test_images, deepcopy(network).float(), images.test_images.float()
    for radius in radii:
        report = classifier_report(network, x, labels=images.test_classes, radius=radius)
        assert report.altered_by_random and report.altered_by_chosen and report.accuracy
        yield NetworkRow(
            kind=kind,
            seed=seed,
            num_epochs=num_epochs,
            radius=radius,
            stability=report.stability.mean,
            over_lead=report.over_lead.mean,
            accuracy=report.accuracy.mean,
            loss=loss,
            random=report.altered_by_random.mean,
            chosen=report.altered_by_chosen.mean,
            attacked=share_attacked(single, single_x, radius).mean,
            attacked_in_range=share_attacked(single, single_x, radius, pixel_range=(0, 1)).mean,
            agreement=true_over_first_order(network, x, radius).mean,
        )
