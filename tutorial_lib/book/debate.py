"""The experiments of "helps or hurts": four quantities that four works measure, and one set of networks for all."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import Split
from tutorial_lib.book.experiments import architecture_for, random_networks, require_split, right_answers
from tutorial_lib.estimates import Estimate
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.initializations import ntk
from tutorial_lib.models import ReLUMLP, antisymmetric
from tutorial_lib.perturbations import uniform_on_sphere
from tutorial_lib.random_features import adversarial_fit, attacked_losses, minimum_norm_fit, random_directions
from tutorial_lib.randomness import random_stream
from tutorial_lib.slopes import flip_distances, lipschitz_bound, steepest_found, survives_attack
from tutorial_lib.stability import input_jacobians, stability_per_input
from tutorial_lib.training import stable_learning_rate, train

# The radii at which signs are attacked, in lengths of an image, and the radius of the risk.
RADII = (0.05, 0.2)
RISK_RADIUS = 0.1


@dataclass(frozen=True)
class SlopeRow:
    """How steep networks of one size are, by several measures, at one training loss; ``level`` inf: before training.

    Estimates are over the ``num_reached`` networks, means over the test inputs within each.
    """

    scheme: str
    width: int
    depth: int
    level: float
    num_networks: int
    num_reached: int
    stability: Estimate  # P / radius
    average: Estimate  # mean gradient length, P / (radius c_d)
    largest: Estimate  # largest gradient length found, anywhere: a lower bound of the Lipschitz constant
    certified: Estimate  # product of spectral norms: an upper bound of it
    largest_over_average: Estimate
    certified_over_average: Estimate
    flip_distance: Estimate  # |f| / gradient length
    flipped: Estimate  # share of inputs that one gradient step of 1.5 times that length flips
    kept_near: Estimate  # share of inputs that keep their sign when attacked with RADII[0]
    kept_far: Estimate  # ... with RADII[1]
    risk: Estimate  # squared error under a first-order attack of RISK_RADIUS
    accuracy: Estimate


_MEASURED = [field.name for field in fields(SlopeRow) if field.type is Estimate]


def _measure(networks: ReLUMLP, split: Split, seed: int) -> dict[str, Float[Tensor, " networks"]]:
    x, y = split.test_x, split.test_y
    outputs, gradients = networks(x).detach(), input_jacobians(networks, x).squeeze(-2)
    lengths = gradients.norm(dim=-1)
    average, certified = lengths.mean(dim=1), lipschitz_bound(networks)
    largest = steepest_found(networks, x, generator=random_stream(seed, "steep places"))
    steps = 1.5 * (outputs / lengths.square().clamp(min=torch.finfo(x.dtype).tiny)).unsqueeze(2) * gradients
    singles = [ReLUMLP.from_weights([w.detach()[i] for w in networks.weights]) for i in range(len(outputs))]
    flipped = [(one(x - step) * output <= 0) for one, step, output in zip(singles, steps, outputs, strict=True)]
    near, far = (survives_attack(networks, x, radius=radius).double().mean(dim=1) for radius in RADII)
    return {
        "stability": stability_per_input(networks, x).mean(dim=1),
        "average": average,
        "largest": largest,
        "certified": certified,
        "largest_over_average": largest / average,
        "certified_over_average": certified / average,
        "flip_distance": flip_distances(networks, x).clamp(max=1).mean(dim=1),  # of images of length 1
        "flipped": torch.stack(flipped).double().mean(dim=1),
        "kept_near": near,
        "kept_far": far,
        "risk": ((outputs - y).abs() + RISK_RADIUS * lengths).square().mean(dim=1),
        "accuracy": right_answers(outputs, y),
    }


def slope_rows(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    levels: Sequence[float],
    seed: int = 0,
) -> list[SlopeRow]:
    """Measure networks before training, and along gradient flow when their training loss falls to each level."""
    require_split(split)
    shape = architecture_for(split, width=width, depth=depth)
    networks = random_networks(scheme, shape, num_networks=num_networks, seed=seed).to(split.train_x)
    start = _measure(networks, split, seed)
    flowed = follow_gradient_flow(
        networks,
        split.train_x,
        split.train_y,
        levels=levels,
        measure=lambda some, members: _measure(some, split, seed),  # noqa: ARG005
    )
    there = flowed.reached
    moments = [(inf, start)] + [
        (level, {name: table[there[:, place], place] for name, table in flowed.measured.items()})
        for place, level in enumerate(flowed.levels)
        if bool(there[:, place].any())
    ]
    shared = {"scheme": scheme, "width": width, "depth": depth, "num_networks": num_networks}
    return [
        SlopeRow(
            **shared,  # type: ignore[arg-type]
            level=level,
            num_reached=len(found["average"]),
            **{name: Estimate.from_draws(found[name].double().tolist()) for name in _MEASURED},  # type: ignore[arg-type]
        )
        for level, found in moments
    ]


def noise_slopes(width: int, *, num_draws: int) -> list[float]:
    """Return the largest slope found of two-layer networks that have fitted noise, one number per data set.

    200 points on the sphere of 20 dimensions, labels by coin; NTK scaling, mirrored so that f = 0 at the start;
    gradient descent until half the mean squared error is 0.001. Networks that do not get there are left out.
    """
    found = []
    for seed in range(num_draws):
        draw = random_stream(seed, "points and coins")
        points = uniform_on_sphere(torch.empty(1200, 20, dtype=torch.float64), generator=draw)
        x, y = points[:200], 2 * torch.randint(2, (200,), generator=draw).double() - 1
        stds = ntk(Architecture(input_dim=20, width=width, depth=2))
        stream = random_stream(seed, f"weights of width {width}")
        inner = torch.randn((width // 2, 20), generator=stream, dtype=torch.float64)
        outer = torch.randn(width // 2, generator=stream, dtype=torch.float64)
        network = antisymmetric(stds.first * inner, stds.last * outer)
        rate = stable_learning_rate(network, x, reference=stds, factor=1.5)
        run = train(network, x, y, learning_rate=rate, num_steps=20_000, target_loss=1e-3)
        if bool(run.reached.all()):
            found.append(steepest_found(network, points[:400], generator=random_stream(seed, "steep places")).item())
    return found


def attacked_risks(num_features: int, *, radius: float, train_radius: float, num_draws: int) -> list[float]:
    """Return the risk under attack of random features trained against an attack of ``train_radius``, per data set.

    200 Gaussian inputs in 20 dimensions, labels a linear rule of length 1 plus noise of standard deviation 1/2;
    1000 new inputs of the same kind. ``train_radius`` 0 is ordinary least squares. Answering 0 costs 1.25. A seed has
    the same data for every number of features.
    """
    risks = []
    for seed in range(num_draws):
        draw = random_stream(seed, "regression in 20 dimensions")
        rule = uniform_on_sphere(torch.empty(1, 20, dtype=torch.float64), generator=draw)[0]
        x = torch.randn((1200, 20), generator=draw, dtype=torch.float64)
        y = x @ rule + 0.5 * torch.randn(1200, generator=draw, dtype=torch.float64)
        directions, steps = _directions(num_features, 20, seed), 15 if train_radius > 0 else 2
        fitted = adversarial_fit(directions, x[:200], y[:200], radius=train_radius, ridge=1e-6, num_steps=steps)
        risks.append(attacked_losses(fitted, x[200:], y[200:], radius=radius).mean().item())
    return risks


def survivors_of_attack(
    split: Split, num_features: int, *, radius: float, num_draws: int
) -> tuple[list[float], list[float]]:
    """Return shares of answers that survive an attack, and accuracies, of random features trained against it.

    One number per draw of the features, both on the test inputs; the attack is on the network itself, the training
    against its tangent plane.
    """
    kept, right = [], []
    for seed in range(num_draws):
        directions = _directions(num_features, split.train_x.shape[1], seed)
        fitted = adversarial_fit(directions, split.train_x, split.train_y, radius=radius, ridge=1e-6, num_steps=15)
        kept.append(survives_attack(fitted, split.test_x, radius=radius).double().mean().item())
        right.append(right_answers(fitted(split.test_x).detach(), split.test_y).item())
    return kept, right


def log_stability_of_fits(
    split: Split, num_features: int, *, num_train: int, num_draws: int, flipped: float = 0.0
) -> Estimate:
    """Estimate the mean of log(P / radius), over draws of the features, of smallest fits of the first digits.

    Where features and labels are equally many P has a heavy tail over draws: hence the logarithm.
    """
    fits = [digits_fit(split, num_features, num_train=num_train, flipped=flipped, seed=s) for s in range(num_draws)]
    return Estimate.from_draws([stability_per_input(fit, split.test_x).mean().log().item() for fit in fits])


def digits_fit(split: Split, num_features: int, *, num_train: int, flipped: float, seed: int) -> ReLUMLP:
    """Return the smallest random-feature fit of the first digits, a share of whose labels is flipped."""
    x, y = split.train_x[:num_train], split.train_y[:num_train]
    coins = torch.rand(len(split.train_x), generator=random_stream(seed, "flips"), dtype=torch.float64)[:num_train]
    return minimum_norm_fit(_directions(num_features, x.shape[1], seed), x, torch.where(coins < flipped, -y, y))


def _directions(num_features: int, input_dim: int, seed: int) -> Float[Tensor, "features dim"]:
    stream = random_stream(seed, f"{num_features} features in {input_dim} dimensions")
    return random_directions(num_features=num_features, input_dim=input_dim, generator=stream)
