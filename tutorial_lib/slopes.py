r"""What an average slope leaves out: the steepest place found, a certified bound, and how far a sign is from flipping.

For networks with one output, :math:`\mathcal P/\epsilon` is :math:`c_d` times the mean of :math:`\|\nabla f(x)\|`.
Here are three other answers to "how steep is it?", in the same unit: a lower bound of the largest slope anywhere, an
upper bound of it, and lengths of changes of x that flip the sign of f.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.models import ReLUMLP, require_inputs, require_network
from tutorial_lib.perturbations import uniform_on_sphere
from tutorial_lib.stability import input_jacobians

# The search keeps this many steepest places, and tries this many neighbours of each a round.
_KEPT, _TRIED, _SHRINK = 16, 16, 0.95


def lipschitz_bound(model: ReLUMLP) -> Float[Tensor, "*networks"]:
    r"""Return the product of the spectral norms of the weight matrices: true inequality, no slope is larger.

    A relu never stretches, so :math:`\|J\|\le\alpha^{-1}\prod_l\|W_l\|_2` at every x, for every depth and any number
    of outputs.
    """
    require_network(model)
    norms = [torch.linalg.matrix_norm(weight.detach(), 2) for weight in model.weights]
    return torch.stack(norms).prod(dim=0) / model.output_divisor


def flip_distances(model: ReLUMLP, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "*networks batch"]:
    r"""Return :math:`|f(x)|/\|\nabla f(x)\|`: the length of the gradient step that brings f to 0, to first order.

    Without biases f(x) is the gradient times x, so this is at most the length of x; inf where the gradient is 0.
    Exact where f is linear on the way; elsewhere the true length is longer or shorter.
    """
    require_network(model, output_dim=1)
    lengths = input_jacobians(model, x).squeeze(-2).norm(dim=-1)
    distances: Tensor = model(x).detach().abs() / lengths
    return distances.where(lengths > 0, torch.inf)


def survives_attack(
    model: ReLUMLP, x: Float[Tensor, "batch dim"], *, radius: float, num_steps: int = 10
) -> Bool[Tensor, "*networks batch"]:
    """Return whether f keeps its sign at each row through an attack that may move it by ``radius``.

    The first step goes the whole way against the gradient; the others, a quarter of it each, are kept in the ball.
    False is a proof: a point was met where f has another sign, or is 0. True is none: another attack may find one.
    """
    require_network(model, output_dim=1)
    require_inputs(model, x=x)
    require_positive(radius=radius)
    require_at_least(1, num_steps=num_steps)
    kept = []
    for network in _members(model):
        signs = network(x).detach().sign()
        moved, same = x, torch.ones_like(signs, dtype=torch.bool)
        for step in range(num_steps):
            downhill = -signs.unsqueeze(1) * normalize(input_jacobians(network, moved).squeeze(-2))
            change = moved + radius * (1.0 if step == 0 else 0.25) * downhill - x
            moved = x + change * (radius / change.norm(dim=1, keepdim=True).clamp(min=radius))
            same &= network(moved).detach().sign() == signs
        kept.append(same)
    return kept[0] if model.num_networks is None else torch.stack(kept)


def steepest_found(
    model: ReLUMLP, x: Float[Tensor, "batch dim"], *, generator: Generator, num_rounds: int = 40
) -> Float[Tensor, "*networks"]:
    r"""Return the largest :math:`\|\nabla f\|` that a search from the rows of x meets: no slope bound is smaller.

    Two searches, since without biases the slope depends on the direction of x only. *Climb*: go to the direction of
    the gradient, again and again, where \|f\| on the sphere grows. *Wander*: keep the steepest places, try random
    neighbours of each, nearer and nearer ones. What they find is a lower bound of the Lipschitz constant.
    """
    require_network(model, output_dim=1)
    require_at_least(1, num_rounds=num_rounds)
    found = [max(_climb(one, x, num_rounds), _wander(one, x, num_rounds, generator)) for one in _members(model)]
    largest = torch.tensor(found, dtype=x.dtype, device=x.device)
    return largest.squeeze(0) if model.num_networks is None else largest


def _members(model: ReLUMLP) -> Iterator[ReLUMLP]:
    if model.num_networks is None:
        yield model
        return
    for place in range(model.num_networks):
        weights = [weight.detach()[place] for weight in model.weights]
        yield ReLUMLP.from_weights(weights, output_divisor=model.output_divisor)


def _climb(network: ReLUMLP, x: Tensor, num_rounds: int) -> float:
    largest = 0.0
    for _ in range(num_rounds):
        gradients = input_jacobians(network, x).squeeze(-2)
        largest = max(largest, gradients.norm(dim=1).max().item())
        # Away from f = 0; what has no slope goes to x = 0, which has none either.
        x = normalize(gradients * (gradients * x).sum(dim=1, keepdim=True).sign())
    return largest


def _wander(network: ReLUMLP, x: Tensor, num_rounds: int, generator: Generator) -> float:
    places, size = normalize(x), 0.5
    for _ in range(num_rounds):
        lengths = input_jacobians(network, places).squeeze(-2).norm(dim=1)
        places = places[lengths.topk(min(_KEPT, len(places))).indices]
        around = places.repeat(_TRIED, 1)
        places = torch.cat([places, normalize(around + size * uniform_on_sphere(around, generator=generator))])
        size *= _SHRINK
    return float(input_jacobians(network, places).squeeze(-2).norm(dim=1).max())
