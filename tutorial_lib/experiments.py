"""The sweeps behind the figures: a scheme's name, sizes and a seed in, numbers out."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_member
from tutorial_lib.data import Split
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import initial_perturbation_stability
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import learning_rate, train


def exact_stability(scheme: str, *, input_dim: int, width: int, depth: int, output_dim: int = 1) -> float:
    """Return the exact P / radius before training of one of the talk's schemes."""
    require_member(INITIALIZATIONS, scheme=scheme)
    stds = INITIALIZATIONS[scheme](input_dim=input_dim, width=width)
    return initial_perturbation_stability(stds, input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)


def exact_by_width(
    scheme: str, widths: Sequence[int], *, input_dim: int, depth: int, output_dim: int = 1
) -> list[float]:
    """Return ``exact_stability`` at each of the widths."""
    sizes = {"input_dim": input_dim, "depth": depth, "output_dim": output_dim}
    return [exact_stability(scheme, width=width, **sizes) for width in widths]


def random_networks(
    scheme: str,
    *,
    input_dim: int,
    width: int,
    depth: int,
    output_dim: int = 1,
    num_networks: int,
    seed: int = 0,
) -> ReLUMLP:
    """Return an ensemble of untrained networks of one of the talk's schemes, in float64.

    Schemes see the same Gaussians at equal sizes and seed, so their comparison is paired.
    """
    require_member(INITIALIZATIONS, scheme=scheme)
    return ReLUMLP(
        INITIALIZATIONS[scheme](input_dim=input_dim, width=width),
        input_dim=input_dim,
        width=width,
        depth=depth,
        output_dim=output_dim,
        num_networks=num_networks,
        generator=random_stream(seed, f"weights of {input_dim}-{width}-{output_dim}, depth {depth}"),
    )


def sampled_stability(
    scheme: str,
    x: Float[Tensor, "batch dim"],
    *,
    width: int,
    depth: int,
    output_dim: int = 1,
    num_networks: int,
    seed: int = 0,
) -> Estimate:
    """Estimate P / radius before training at the inputs x; each network is one draw."""
    networks = random_networks(
        scheme,
        input_dim=x.shape[1],
        width=width,
        depth=depth,
        output_dim=output_dim,
        num_networks=num_networks,
        seed=seed,
    )
    return perturbation_stability(networks.to(x), x)


@dataclass(frozen=True)
class TrainedRow:
    """What training made of several networks of one size; every estimate is over networks."""

    scheme: str
    width: int
    depth: int
    num_steps: int  # steps taken by the network that trained longest
    stability: Estimate  # P / radius on the test inputs
    loss: Estimate  # half mean squared error on the training rows
    accuracy: Estimate  # fraction of test inputs with the right sign
    lazy_ratio: Estimate
    num_reached: int  # networks that reached the target loss, if there was one
    num_diverged: int  # networks whose loss ceased to be finite: the estimates refuse them
    num_dead: int  # networks with output zero on all training rows: counted with P = 0


def reference_stds(scheme: str, *, input_dim: int, width: int) -> LayerStds:
    """Return the standard deviations whose kernel limits the learning rate: He's also for LeCun."""
    require_member(INITIALIZATIONS, scheme=scheme)
    return INITIALIZATIONS["he" if scheme == "lecun" else scheme](input_dim=input_dim, width=width)


def trained_stability(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    num_steps: int,
    target_loss: float | None = None,
    seed: int = 0,
) -> TrainedRow:
    """Train networks on +1/-1 labels by full-batch gradient descent and measure them on the test rows.

    Learning rates by ``training.learning_rate``, one per network; float32.
    """
    train_x, train_y, test_x, test_y = (tensor.float() for tensor in split)
    dim = train_x.shape[1]
    sizes = {"input_dim": dim, "width": width, "depth": depth, "num_networks": num_networks}
    networks = random_networks(scheme, **sizes, seed=seed).float()
    initial = deepcopy(networks)
    reference = reference_stds(scheme, input_dim=dim, width=width)
    rates = learning_rate(networks, train_x, reference=reference)
    result = train(
        networks,
        train_x,
        train_y,
        learning_rate=rates,
        num_steps=num_steps,
        target_loss=target_loss,
    )
    with torch.no_grad():
        right = networks(test_x) * test_y > 0
    return TrainedRow(
        scheme=scheme,
        width=width,
        depth=depth,
        num_steps=int(result.rows[-1]["step"]),
        stability=perturbation_stability(networks, test_x),
        loss=Estimate.from_draws(result.rows[-1]["loss"].tolist()),
        accuracy=Estimate.from_draws(right.double().mean(dim=1).tolist()),
        lazy_ratio=Estimate.from_draws(lazy_ratio(initial, networks).tolist()),
        num_reached=int(result.reached.sum()),
        num_diverged=int((result.diverged_at >= 0).sum()),
        num_dead=int(result.dead.sum()),
    )
