"""How far training moved a network: in its weights, in its tangent kernel, from its own linearization."""

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_positive, require_shape
from tutorial_lib.kernels import empirical_ntk
from tutorial_lib.models import ReLUMLP


def _require_same_shapes(initial: ReLUMLP, trained: ReLUMLP) -> None:
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (initial, trained)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"initial and trained must have one shape, got {shapes[0]} and {shapes[1]}")


def _norms(weights: list[Tensor]) -> list[Float[Tensor, "*networks"]]:
    return [torch.linalg.matrix_norm(weight.detach()) for weight in weights]


def lazy_ratio(initial: ReLUMLP, trained: ReLUMLP) -> Float[Tensor, "*networks"]:
    r"""Return the talk's kappa (slide 7), one number per network: relative movement of all layers.

    .. math:: \frac{\sum_l \|W_l(t) - W_l(0)\|_F}{\sum_l \|W_l(0)\|_F}

    A small value does not say that the tangent kernel stayed: see ``kernel_drift``.
    """
    _require_same_shapes(initial, trained)
    moved = _norms([b - a for a, b in zip(initial.weights, trained.weights, strict=True)])
    return torch.stack(moved).sum(dim=0) / torch.stack(_norms(list(initial.weights))).sum(dim=0)


def input_weight_movement(initial: ReLUMLP, trained: ReLUMLP) -> Float[Tensor, "*networks"]:
    r"""Return ||W_1(t) - W_1(0)||_F / ||W_1(0)||_F: the RD of the phase diagram [LXMZ21]."""
    _require_same_shapes(initial, trained)
    start, end = initial.weights[0], trained.weights[0]
    (moved, length) = _norms([end - start, start])
    return moved / length


def kernel_drift(initial: ReLUMLP, trained: ReLUMLP, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "*networks"]:
    r"""Return ||K_t - K_0||_F / ||K_0||_F for the empirical tangent kernels at the inputs x.

    nan or infinity for a network that was dead at the start: its kernel vanishes.
    """
    _require_same_shapes(initial, trained)
    start, end = (empirical_ntk(model, x, x) for model in (initial, trained))
    (moved, length) = _norms([end - start, start])
    return moved / length


def linearized_outputs(
    initial: ReLUMLP,
    train_x: Float[Tensor, "train dim"],
    train_y: Float[Tensor, " train"],
    x: Float[Tensor, "batch dim"],
    *,
    learning_rate: float,
    num_steps: int,
) -> Float[Tensor, "*networks batch"]:
    r"""Return what the linearization of a network at its start computes at x after training.

    The linearization is f_0 plus the inner product of its gradient by the weights with their
    movement, trained as in ``train`` by full-batch gradient descent on the mean half square. Its
    movement is a combination of the n gradients at the training points, so only the coefficients
    c are iterated, with the empirical tangent kernel K_0 at the start:

    .. math:: f_t = f_0 + K_0(\cdot, X)\, c_t,\quad c_{t+1} = c_t - \frac{\eta}{n} (f_t(X) - y),\quad c_0 = 0
    """
    require_positive(learning_rate=learning_rate)
    require_at_least(0, num_steps=num_steps)
    require_shape([len(train_x)], train_y=train_y.shape)
    kernel = empirical_ntk(initial, train_x, train_x)
    start: Tensor = initial(train_x).detach()
    coefficients = torch.zeros_like(start)
    for _ in range(num_steps):
        outputs = start + (kernel @ coefficients.unsqueeze(-1)).squeeze(-1)
        coefficients = coefficients - learning_rate / len(train_x) * (outputs - train_y)
    learnt = empirical_ntk(initial, x, train_x) @ coefficients.unsqueeze(-1)
    result: Tensor = initial(x).detach() + learnt.squeeze(-1)
    return result
