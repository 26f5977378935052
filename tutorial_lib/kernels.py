"""Kernels of ReLU networks: infinite-width NNGP and tangent kernel at width m, and the empirical one.

"At width m" means the leading order in the width with every factor of m kept: the talk's schemes
do not all give a limit free of m, so the width stays an argument.
"""

from itertools import pairwise
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_depth
from tutorial_lib.initializations import LayerStds
from tutorial_lib.models import ReLUMLP


def _require_kernel_inputs(inputs_a: Tensor, inputs_b: Tensor) -> None:
    for name, x in (("inputs_a", inputs_a), ("inputs_b", inputs_b)):
        if x.ndim != 2 or x.numel() == 0:
            raise ValueError(f"{name} must have shape (batch, dim) and not be empty, got {tuple(x.shape)}")
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"{name} must be finite, got nan or infinity")
        if bool((x == 0).all(dim=1).any()):
            raise ValueError(f"{name} must not hold a zero input, where the kernels are not smooth")
    if inputs_a.shape[1] != inputs_b.shape[1]:
        raise ValueError(
            f"inputs_a and inputs_b must have one dimension, got {inputs_a.shape[1]} and {inputs_b.shape[1]}"
        )


def kernel_profiles(
    cosines: Float[Tensor, "..."], *, stds: LayerStds, width: int, depth: int
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Return NNGP and tangent kernel of two unit inputs as functions of the cosine between them.

    Both kernels are homogeneous of degree one in each input, so this is all there is to know.
    """
    require_at_least(1, width=width)
    require_depth(depth)
    # Cosines this close to 1 differ from it by rounding; arccos would turn that into its square root.
    rounding = 32 * torch.finfo(cosines.dtype).eps
    cosine = tangent = cosines
    scale = 1.0  # mean square of a hidden layer
    layer_stds = [stds.first] + [stds.hidden] * (depth - 2) + [stds.last]
    for std, next_std in pairwise(layer_stds):
        cosine = torch.where(cosine > 1 - rounding, 1.0, cosine.clamp(-1, 1))
        away = pi - torch.arccos(cosine)
        scale *= width * std**2 / 2
        cosine = (torch.sqrt(1 - cosine**2) + away * cosine) / pi
        tangent = scale * cosine + tangent * (width * next_std**2 / 2) * away / pi
    return stds.last**2 * scale * cosine, tangent


def lengths_and_cosines(
    inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"]
) -> tuple[Float[Tensor, "a b"], Float[Tensor, "a b"]]:
    """Return the products of lengths and the cosines of the angles between two sets of inputs."""
    _require_kernel_inputs(inputs_a, inputs_b)
    lengths: Tensor = inputs_a.norm(dim=1).unsqueeze(1) * inputs_b.norm(dim=1)
    return lengths, (inputs_a @ inputs_b.T / lengths).clamp(-1, 1)


def nngp(
    inputs_a: Float[Tensor, "a dim"],
    inputs_b: Float[Tensor, "b dim"],
    *,
    stds: LayerStds,
    width: int,
    depth: int,
) -> Float[Tensor, "a b"]:
    r"""Covariance E f(x) f(x') of one output before training, leading order in the width.

    .. math:: \beta_L^2 H_{L-1},\quad H_0 = \langle x, x'\rangle,\quad
              H_l = \tfrac{m\beta_l^2}{2}\, s_{l-1}\,
              \frac{\sin\theta_l + (\pi - \theta_l)\cos\theta_l}{\pi},\quad
              \cos\theta_l = H_{l-1} / s_{l-1}

    s is the geometric mean of the two diagonal values of H. Cho and Saul (2009). Exact at depth 2;
    with several outputs each has this covariance and they are uncorrelated.
    """
    lengths, cosines = lengths_and_cosines(inputs_a, inputs_b)
    return lengths * kernel_profiles(cosines, stds=stds, width=width, depth=depth)[0]


def ntk(
    inputs_a: Float[Tensor, "a dim"],
    inputs_b: Float[Tensor, "b dim"],
    *,
    stds: LayerStds,
    width: int,
    depth: int,
) -> Float[Tensor, "a b"]:
    r"""Tangent kernel of one output before training, all weights trained, leading order in the width.

    .. math:: T_1 = \langle x, x'\rangle,\quad
              T_{l+1} = H_l + T_l\, \frac{m\beta_{l+1}^2}{2}\,\frac{\pi - \theta_l}{\pi},\quad K = T_L

    Its mean over the weights is exact at depth 2. It keeps the width: LeCun and He mainly train the
    layers after the first for width >> input dimension, the talk's NTK all layers but the last.
    """
    lengths, cosines = lengths_and_cosines(inputs_a, inputs_b)
    return lengths * kernel_profiles(cosines, stds=stds, width=width, depth=depth)[1]


def empirical_ntk(
    model: ReLUMLP, inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"]
) -> Float[Tensor, "*networks a b"]:
    r"""Tangent kernel of a network at its present weights, one output; no Jacobian is built.

    .. math:: \sum_{l=1}^L \langle h_{l-1}(x), h_{l-1}(x')\rangle\,
              \langle \delta_l(x), \delta_l(x')\rangle

    h are the hidden layers, delta the derivatives of f by the values that enter the relus.
    """
    _require_kernel_inputs(inputs_a, inputs_b)
    if inputs_a.shape[1] != model.input_dim:
        raise ValueError(f"inputs_a must have shape (batch, {model.input_dim}), got {tuple(inputs_a.shape)}")
    if model.weights[-1].shape[-2] != 1:
        raise ValueError(f"model must have one output, got {model.weights[-1].shape[-2]}")
    layers_a, signals_a = _layers_and_signals(model, inputs_a)
    layers_b, signals_b = _layers_and_signals(model, inputs_b)
    terms = zip(layers_a, layers_b, signals_a, signals_b, strict=True)
    return sum(((ha @ hb.mT) * (da @ db.mT) for ha, hb, da, db in terms), start=torch.zeros((), dtype=inputs_a.dtype))


def _layers_and_signals(model: ReLUMLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs of each weight matrix, and derivatives of f by what it puts out."""
    weights = [weight.detach() for weight in model.weights]
    layers = [x]
    for weight in weights[:-1]:
        layers.append((layers[-1] @ weight.mT).relu_())
    signals = [torch.full_like(layers[-1][..., :1], 1 / model.output_divisor)]
    for weight, layer in zip(reversed(weights[1:]), reversed(layers[1:]), strict=True):
        signals.append((signals[-1] @ weight) * (layer > 0))
    return layers, signals[::-1]
