"""ReLU networks with explicit weights, one at a time or many of one shape at once."""

from collections.abc import Iterator, Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from tutorial_lib.arguments import require_at_least, require_depth, require_positive
from tutorial_lib.initializations import LayerStds


def _draw_weights(
    stds: LayerStds, sizes: Sequence[int], leading: Sequence[int], generator: Generator
) -> Iterator[Tensor]:
    """Yield the Gaussian weight matrices between layers of the given ``sizes``."""
    layer_stds = [stds.first] + [stds.hidden] * (len(sizes) - 3) + [stds.last]
    for std, rows, columns in zip(layer_stds, sizes[1:], sizes[:-1], strict=True):
        # Always float64: the same seed gives other numbers in float32, hence another network.
        shape = (*leading, rows, columns)
        yield std * torch.randn(shape, generator=generator, dtype=torch.float64)


def mask_(signal: Float[Tensor, "..."], layer: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Set ``signal`` to 0 in place where ``layer``, the output of a relu, is 0; return it.

    The output of a relu is its own mask, so there is no boolean tensor; and in place, because new
    memory would cost more time than the masking.
    """
    masked: Tensor = torch.ops.aten.threshold_backward.grad_input(signal, layer.expand_as(signal), 0, grad_input=signal)
    return masked


@final
class ReLUMLP(nn.Module):
    """f(x) = W_L relu(W_{L-1} ... relu(W_1 x)) / output_divisor, without biases.

    ``depth`` is L, the number of weight matrices: depth=2 has one hidden layer. The weights are
    independent N(0, std^2), float64 on the CPU; move them with ``.to``. With ``num_networks``
    the module is an ensemble: every weight has a leading axis of independent networks, which
    are evaluated as one batched product, and so has every output.
    """

    def __init__(
        self,
        stds: LayerStds,
        *,
        input_dim: int,
        width: int,
        depth: int,
        output_dim: int = 1,
        output_divisor: float = 1.0,
        num_networks: int | None = None,
        generator: Generator,
    ) -> None:
        super().__init__()
        require_at_least(1, input_dim=input_dim, width=width, output_dim=output_dim)
        require_depth(depth)
        require_positive(output_divisor=output_divisor)
        if num_networks is not None:
            require_at_least(1, num_networks=num_networks)
        sizes = [input_dim] + [width] * (depth - 1) + [output_dim]
        leading = () if num_networks is None else (num_networks,)
        self.weights = nn.ParameterList(_draw_weights(stds, sizes, leading, generator))
        self.output_divisor = output_divisor

    @property
    def input_dim(self) -> int:
        """Number of coordinates of an input."""
        return int(self.weights[0].shape[-1])

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


def mirrored(inner: Float[Tensor, "*networks half input_dim"], outer: Float[Tensor, "*networks half"]) -> ReLUMLP:
    """Return two-layer networks that hold each neuron given and its mirror image, so that f is 0 at the start.

    Neuron i has the input weights ``inner[..., i, :]`` and the output weight ``outer[..., i]``; its image has the
    same input weights and the opposite output weight. Width: twice the neurons given. A leading axis of both
    makes an ensemble. The tangent kernel is twice that of the neurons given, so training still moves f.
    """
    if inner.ndim not in (2, 3) or inner.shape[:-1] != outer.shape:
        raise ValueError(
            f"inner and outer must have shapes (..., half, input_dim) and (..., half), at most one axis in front, "
            f"got {tuple(inner.shape)} and {tuple(outer.shape)}"
        )
    networks = ReLUMLP(
        LayerStds(0, 0, 0),
        input_dim=inner.shape[-1],
        width=2 * inner.shape[-2],
        depth=2,
        num_networks=None if inner.ndim == 2 else len(inner),
        generator=Generator(),
    )
    networks.weights[0].data = torch.cat([inner, inner], dim=-2)
    networks.weights[1].data = torch.cat([outer, -outer], dim=-1).unsqueeze(-2)
    return networks
