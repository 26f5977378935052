"""ReLU networks with explicit weights, one at a time or many of one shape at once.

The two chains of matrix products that all else is made of stand here once: ``layer_inputs`` goes
forward through the layers, ``backward_signals`` back.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.initializations import LayerStds, require_stds
from tutorial_lib.tensors import require_finite, require_generator, require_like


def mask_(
    signal: Float[Tensor, "..."], layer: Float[Tensor, "..."], *, out: Tensor | None = None
) -> Float[Tensor, "..."]:
    """Set ``signal`` to 0 where ``layer`` is not positive, in place or in the memory of ``out``; return it.

    The output of a relu, or what enters it, is its own mask, so there is no boolean tensor; and new memory
    would cost more time than the masking. ``out`` may be the layer.
    """
    out = signal if out is None else out
    masked: Tensor = torch.ops.aten.threshold_backward.grad_input(signal, layer, 0, grad_input=out)
    return masked


def layer_inputs(weights: Sequence[Tensor], x: Float[Tensor, "*networks batch dim"]) -> list[Tensor]:
    """Return what each weight matrix multiplies: x, then the hidden layers."""
    layers = [x]
    for weight in weights[:-1]:
        layers.append((layers[-1] @ weight.mT).relu_())
    return layers


def backward_signals(
    weights: Sequence[Tensor], layers: Sequence[Tensor], signal: Tensor, *, out: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield the derivatives with respect to what enters each relu, from the last hidden layer to the first.

    ``weights`` and ``layers`` are those of the hidden layers, ``signal`` is the derivative with respect to the
    last hidden layer; ``out`` is the memory for the first of what is yielded, which may be the last layer's.
    """
    signal = mask_(signal, layers[-1], out=torch.empty_like(signal) if out is None else out)
    yield signal
    for weight, layer in zip(weights[:0:-1], layers[-2::-1], strict=True):
        signal = mask_(signal @ weight, layer)
        yield signal


def _draw_weights(
    stds: LayerStds, architecture: Architecture, leading: Sequence[int], generator: Generator
) -> Iterator[Tensor]:
    """Yield the Gaussian weight matrices from the first to the last."""
    sizes = architecture.layer_sizes
    for std, rows, columns in zip(stds.of_layers(architecture), sizes[1:], sizes[:-1], strict=True):
        # Always float64: the same seed gives other numbers in float32, hence another network.
        shape = (*leading, rows, columns)
        yield std * torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)


@final
class ReLUMLP(nn.Module):
    """f(x) = W_L relu(W_{L-1} ... relu(W_1 x)) / output_divisor, without biases.

    ``ReLUMLP(he(shape), shape, generator=...)`` draws independent weights N(0, std^2), in float64 on the
    generator's device; move them with ``.to``. ``ReLUMLP.from_weights`` takes weights as they are. With
    ``num_networks`` the module is an ensemble: every weight has a leading axis of independent networks,
    which are evaluated as one batched product, and so has every output.
    """

    def __init__(
        self,
        stds: LayerStds,
        architecture: Architecture,
        *,
        output_divisor: float = 1.0,
        num_networks: int | None = None,
        generator: Generator,
    ) -> None:
        super().__init__()
        require_stds(stds)
        require_architecture(architecture)
        require_positive(output_divisor=output_divisor)
        require_generator(generator)
        leading: tuple[int, ...] = ()
        if num_networks is not None:
            require_at_least(1, num_networks=num_networks)
            leading = (int(num_networks),)
        self.weights = nn.ParameterList(_draw_weights(stds, architecture, leading, generator))
        self.output_divisor = float(output_divisor)
        self.eval()  # there is nothing to switch off, and whoever asks for eval mode need not be told

    @classmethod
    def from_weights(cls, weights: Iterable[Tensor], *, output_divisor: float = 1.0) -> "ReLUMLP":
        """Return the network, or the ensemble, with copies of these weight matrices, from the first to the last.

        Their shapes are those that ``Architecture`` describes, behind a leading axis of networks for an
        ensemble; dtype and device stay.
        """
        require_positive(output_divisor=output_divisor)
        if isinstance(weights, Tensor) or not isinstance(weights, Iterable):
            raise TypeError(f"weights must be a sequence of matrices, got {type(weights).__name__}")
        weights = list(weights)
        require_finite(**{f"weights[{place}]": weight for place, weight in enumerate(weights)})
        _require_consecutive(weights)
        network = cls.__new__(cls)
        nn.Module.__init__(network)
        network.weights = nn.ParameterList(weight.detach().clone() for weight in weights)
        network.output_divisor = float(output_divisor)
        return network.eval()

    @property
    def architecture(self) -> Architecture:
        """The sizes of a network, or of each network of an ensemble."""
        first, last = self.weights[0], self.weights[-1]
        return Architecture(
            input_dim=first.shape[-1], width=first.shape[-2], depth=len(self.weights), output_dim=last.shape[-2]
        )

    @property
    def input_dim(self) -> int:
        """Number of coordinates of an input."""
        return int(self.weights[0].shape[-1])

    @property
    def output_dim(self) -> int:
        """Number of outputs."""
        return int(self.weights[-1].shape[-2])

    @property
    def largest_layer(self) -> int:
        """Number of coordinates of the largest layer, the input included."""
        return max(self.input_dim, int(self.weights[0].shape[-2]))

    @property
    def num_networks(self) -> int | None:
        """Number of networks of an ensemble, None for a single network."""
        first = self.weights[0]
        return None if first.ndim == 2 else len(first)

    def forward(self, x: Float[Tensor, "batch input_dim"]) -> Float[Tensor, "..."]:
        """Return f at each row of x: (batch,) for one output, else (batch, outputs).

        An ensemble puts its axis of networks in front.
        """
        *hidden, last = self.weights
        for weight in hidden:
            x = torch.relu(x @ weight.mT)
        output: Tensor = x @ last.mT / self.output_divisor
        return output.squeeze(-1) if output.shape[-1] == 1 else output

    def jacobians(self, x: Float[Tensor, "batch input_dim"]) -> Float[Tensor, "*networks outputs batch input_dim"]:
        """Return df/dx at each row: one chain of masked products from the outputs back to the input."""
        *hidden, last = (weight.detach() for weight in self.weights)
        inputs = layer_inputs(hidden, x)
        # The last hidden layer only masks, which it does as well without its relu.
        layers = [*inputs[1:], inputs[-1] @ hidden[-1].mT]
        last = last / self.output_divisor
        out = layers[-1]
        if self.output_dim > 1:  # the axis of outputs stands between those of networks and rows
            last = last.unsqueeze(-2)
            layers = [layer.unsqueeze(-3) for layer in layers]
            hidden = [weight.unsqueeze(-3) if weight.ndim == 3 else weight for weight in hidden]
            out = last.new_empty(*last.shape[:-2], len(x), last.shape[-1])
        # Only the signal that reaches the input is kept.
        (first,) = deque(backward_signals(hidden, layers, last, out=out), maxlen=1)
        jacobians: Tensor = first @ hidden[0]
        return jacobians if self.output_dim > 1 else jacobians.unsqueeze(-3)

    def changes(
        self, x: Float[Tensor, "batch input_dim"], directions: Float[Tensor, "*networks batch input_dim"]
    ) -> Float[Tensor, "*networks batch outputs"]:
        """Return J u at each row for one direction u each: f and J u side by side, two forward passes."""
        first, *hidden, last = (weight.detach() for weight in self.weights)
        x, directions = x @ first.mT, directions @ first.mT
        for weight in hidden:
            directions = mask_(directions, x) @ weight.mT
            x = x.relu_() @ weight.mT
        changes: Tensor = mask_(directions, x) @ last.mT / self.output_divisor
        return changes


def _require_consecutive(weights: Sequence[Tensor]) -> None:
    """Raise unless the matrices fit one behind the other, with hidden layers of one width."""
    shapes = [tuple(weight.shape) for weight in weights]
    allowed = "matrices (width, input_dim), (width, width) ..., (output_dim, width), all with the same axis in front"
    if len(weights) < 2 or any(len(shape) not in (2, 3) or 0 in shape for shape in shapes):
        raise ValueError(f"weights must be two or more {allowed}, got shapes {shapes}")
    width = shapes[0][-2]
    hidden = all(shape[-2:] == (width, width) for shape in shapes[1:-1])
    if not hidden or shapes[-1][-1] != width or len({shape[:-2] for shape in shapes}) != 1:
        raise ValueError(f"weights must be {allowed}, got shapes {shapes}")
    require_like(weights[0], **{f"weights[{place}]": weight for place, weight in enumerate(weights)})


def require_network(model: ReLUMLP, *, name: str = "model", **needed: int) -> None:
    """Raise unless ``model``, called ``name``, is a ``ReLUMLP`` of the sizes ``needed``, such as ``output_dim=1``."""
    if not isinstance(model, ReLUMLP):
        raise TypeError(f"{name} must be a ReLUMLP, got {type(model).__name__}")
    require_architecture(model.architecture, **needed)


def require_inputs(model: ReLUMLP, **inputs: Tensor) -> None:
    """Raise unless every named argument is a batch of inputs of the network, finite and of its dtype and device."""
    for name, x in inputs.items():
        require_finite(**{name: x})
        if x.ndim != 2 or x.shape[1] != model.input_dim or len(x) == 0:
            wanted = f"(batch, {model.input_dim}) and not be empty"
            remedy = f": one input is {name}.unsqueeze(0)" if x.shape == (model.input_dim,) else ""
            raise ValueError(f"{name} must have shape {wanted}, got {tuple(x.shape)}{remedy}")
        weight: Tensor = model.weights[0]
        require_like(weight, "the weights", **{name: x})


def antisymmetric(inner: Float[Tensor, "*networks half input_dim"], outer: Float[Tensor, "*networks half"]) -> ReLUMLP:
    """Return two-layer networks that hold each neuron given and its mirror image, so that f is 0 at the start.

    Neuron i has the input weights ``inner[..., i, :]`` and the output weight ``outer[..., i]``; its image has the
    same input weights and the opposite output weight. Width: twice the neurons given. A leading axis of both
    makes an ensemble. The tangent kernel is twice that of the neurons given, so training still moves f.
    """
    require_finite(inner=inner, outer=outer)
    require_like(inner, outer=outer)
    if inner.ndim not in (2, 3) or inner.shape[:-1] != outer.shape:
        raise ValueError(
            f"inner and outer must have shapes (..., half, input_dim) and (..., half), at most one axis in front, "
            f"got {tuple(inner.shape)} and {tuple(outer.shape)}"
        )
    return ReLUMLP.from_weights([torch.cat([inner, inner], dim=-2), torch.cat([outer, -outer], dim=-1).unsqueeze(-2)])
