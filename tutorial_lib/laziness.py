"""How far training moved a network: in its weights, in its tangent kernel, from its own linearization."""

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_positive, require_shape
from tutorial_lib.kernels import require_kernel_inputs
from tutorial_lib.models import (
    ReLUMLP,
    backward_signals,
    layer_inputs,
    mask_,
    require_inputs,
    require_network,
)
from tutorial_lib.tensors import require_finite, require_like


def _require_same_shapes(initial: ReLUMLP, trained: ReLUMLP) -> None:
    require_network(initial, name="initial")
    require_network(trained, name="trained")
    if initial is trained:
        raise ValueError("initial must be a copy made before training, copy.deepcopy(networks), got trained itself")
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (initial, trained)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"initial and trained must have one shape, got {shapes[0]} and {shapes[1]}")
    for start, end in zip(initial.weights, trained.weights, strict=True):
        require_finite(initial=start, trained=end)
        require_like(start, trained=end)


def _norms(weights: list[Tensor]) -> list[Float[Tensor, "*networks"]]:
    return [torch.linalg.matrix_norm(weight.detach()) for weight in weights]


def lazy_ratio(initial: ReLUMLP, trained: ReLUMLP) -> Float[Tensor, "*networks"]:
    r"""Return the talk's kappa (slide 7), one number per network: relative movement of all layers.

    .. math:: \frac{\sum_l \|W_l(t) - W_l(0)\|_F}{\sum_l \|W_l(0)\|_F}

    ``train`` changes networks in place, so ``initial`` must be a copy made before: ``copy.deepcopy(networks)``.
    A small value does not mean that the tangent kernel stayed the same: see ``kernel_drift``.
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


def empirical_tangent_kernel(
    model: ReLUMLP, inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"]
) -> Float[Tensor, "*networks a b"]:
    r"""Return the tangent kernel of a network at its present weights, one output; no Jacobian is built.

    .. math:: \sum_{l=1}^L \langle h_{l-1}(x), h_{l-1}(x')\rangle\,
              \langle \delta_l(x), \delta_l(x')\rangle

    h are the hidden layers, delta the derivatives of f by the values that enter the relus.
    """
    require_network(model, output_dim=1)
    require_kernel_inputs(inputs_a, inputs_b)
    require_inputs(model, inputs_a=inputs_a, inputs_b=inputs_b)
    layers_a, signals_a = _layers_and_signals(model, inputs_a)
    layers_b, signals_b = _layers_and_signals(model, inputs_b)
    terms = zip(layers_a, layers_b, signals_a, signals_b, strict=True)
    return sum(((ha @ hb.mT) * (da @ db.mT) for ha, hb, da, db in terms), start=torch.zeros_like(inputs_a[0, 0]))


def _layers_and_signals(model: ReLUMLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    weights = [weight.detach() for weight in model.weights]
    layers = layer_inputs(weights, x.detach())
    last = torch.full_like(layers[-1][..., :1], 1 / model.output_divisor)
    hidden = backward_signals(weights[:-1], layers[1:], last @ weights[-1])
    return layers, [last, *hidden][::-1]


def kernel_drift(initial: ReLUMLP, trained: ReLUMLP, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "*networks"]:
    r"""Return ||K_t - K_0||_F / ||K_0||_F for the empirical tangent kernels at the inputs x.

    nan or infinity for a network that was dead at the start: its kernel vanishes.
    """
    _require_same_shapes(initial, trained)
    start, end = (empirical_tangent_kernel(model, x, x) for model in (initial, trained))
    (moved, length) = _norms([end - start, start])
    return moved / length


def _learnt_coefficients(
    initial: ReLUMLP, train_x: Tensor, train_y: Tensor, x: Tensor, *, learning_rate: float, num_steps: int
) -> Float[Tensor, "*networks train"]:
    """Train the linearization; return the coefficients of its movement in the gradients at the training points."""
    require_positive(learning_rate=learning_rate)
    require_at_least(0, num_steps=num_steps)
    require_network(initial, name="initial", output_dim=1)
    require_inputs(initial, train_x=train_x, x=x)
    kernel = empirical_tangent_kernel(initial, train_x, train_x)
    require_finite(train_y=train_y)
    require_shape([len(train_x)], train_y=train_y.shape)
    require_like(train_x, train_y=train_y)
    largest = torch.linalg.eigvalsh(kernel)[..., -1].max().item()
    if learning_rate * largest >= 2 * len(train_x):
        limit = f"{2 * len(train_x) / largest:.6g}, where the linearization diverges"
        raise ValueError(f"learning_rate must be below {limit}, got {learning_rate}")
    start: Tensor = initial(train_x).detach()
    coefficients = torch.zeros_like(start)
    for _ in range(num_steps):
        outputs = start + (kernel @ coefficients.unsqueeze(-1)).squeeze(-1)
        coefficients = coefficients - learning_rate / len(train_x) * (outputs - train_y)
    return coefficients


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

    From learning rate 2 n / (largest eigenvalue of K_0) on it diverges, which is refused.
    """
    coefficients = _learnt_coefficients(initial, train_x, train_y, x, learning_rate=learning_rate, num_steps=num_steps)
    learnt = empirical_tangent_kernel(initial, x, train_x) @ coefficients.unsqueeze(-1)
    result: Tensor = initial(x).detach() + learnt.squeeze(-1)
    return result


def linearized_gradients(
    initial: ReLUMLP,
    train_x: Float[Tensor, "train dim"],
    train_y: Float[Tensor, " train"],
    x: Float[Tensor, "batch dim"],
    *,
    learning_rate: float,
    num_steps: int,
) -> Float[Tensor, "*networks batch dim"]:
    r"""Return the derivatives by x, almost everywhere, of ``linearized_outputs``.

    .. math:: \nabla f_0(x) + \sum_i c_i \sum_{l=1}^L \langle\delta_l(x), \delta_l(x_i)\rangle\,
              \nabla_x \langle h_{l-1}(x), h_{l-1}(x_i)\rangle

    with h and delta of ``empirical_tangent_kernel``. Where a mask switches, the linearization jumps, and no derivative
    knows of it: so these are not the slopes of the trained network at any width, though the outputs agree ever better.
    """
    coefficients = _learnt_coefficients(initial, train_x, train_y, x, learning_rate=learning_rate, num_steps=num_steps)
    weights = [weight.detach() for weight in initial.weights]
    train_layers, train_signals = _layers_and_signals(initial, train_x)
    layers, signals = _layers_and_signals(initial, x)
    # How far each weight matrix has moved.
    moved = [
        (coefficients.detach().unsqueeze(-1) * signal).mT @ layer
        for layer, signal in zip(train_layers, train_signals, strict=True)
    ]
    # Back to the input: what a weight's movement adds to its layer's input, and what came from the layers above.
    slope = signals[-1] @ moved[-1]
    for place in range(len(weights) - 2, -1, -1):
        slope = mask_(slope, layers[place + 1]) @ weights[place] + signals[place] @ moved[place]
    result: Tensor = slope + signals[0] @ weights[0]
    return result
