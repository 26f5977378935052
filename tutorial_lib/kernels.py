"""Kernels of ReLU networks in the limit of large width: covariance of the outputs (NNGP) and tangent kernel.

"At width m" means the leading order in the width with every factor of m kept: the talk's schemes
do not all give a limit free of m, so the width stays an argument.
"""

from itertools import pairwise
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_instance
from tutorial_lib.initializations import LayerStds, require_stds
from tutorial_lib.tensors import require_finite, require_like, require_rows


def require_kernel_inputs(inputs_a: Tensor, inputs_b: Tensor) -> None:
    """Raise unless both are batches of nonzero finite inputs with equally many coordinates."""
    for name, x in (("inputs_a", inputs_a), ("inputs_b", inputs_b)):
        require_rows(**{name: x})
        if bool((x == 0).all(dim=1).any()):
            raise ValueError(f"{name} must not hold a zero input, where the kernels are not smooth")
    require_like(inputs_a, inputs_b=inputs_b)
    if inputs_a.shape[1] != inputs_b.shape[1]:
        raise ValueError(
            f"inputs_a and inputs_b must have one dimension, got {inputs_a.shape[1]} and {inputs_b.shape[1]}"
        )


def kernel_profiles(
    cosines: Float[Tensor, "..."], stds: LayerStds, architecture: Architecture, *, fixed_masks: bool = False
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Return NNGP and tangent kernel of two unit inputs as functions of the cosine between them.

    Both kernels are homogeneous of degree one in each input, so this is all there is to know. ``fixed_masks``
    changes no value, only the derivative of the tangent kernel: how often two inputs share a mask is then held
    fixed, as it is, almost everywhere, in the tangent kernel of a network.
    """
    require_finite(cosines=cosines)
    require_stds(stds)
    require_architecture(architecture)
    require_instance(bool, fixed_masks=fixed_masks)
    # Cosines this close to 1 differ from it by rounding; arccos would turn that into its square root.
    rounding = 32 * torch.finfo(cosines.dtype).eps
    cosine = tangent = cosines
    scale = 1.0  # mean square of a hidden layer
    half_width = architecture.width / 2
    for std, next_std in pairwise(stds.of_layers(architecture)):
        cosine = torch.where(cosine > 1 - rounding, 1.0, cosine.clamp(-1, 1))
        away = pi - torch.arccos(cosine)
        scale *= half_width * std**2
        cosine = (torch.sqrt(1 - cosine**2) + away * cosine) / pi
        shared = (away.detach() if fixed_masks else away) / pi
        tangent = scale * cosine + tangent * (half_width * next_std**2) * shared
    return stds.last**2 * scale * cosine, tangent


def lengths_and_cosines(
    inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"]
) -> tuple[Float[Tensor, "a b"], Float[Tensor, "a b"]]:
    """Return the products of lengths and the cosines of the angles between two sets of inputs."""
    require_kernel_inputs(inputs_a, inputs_b)
    lengths: Tensor = inputs_a.norm(dim=1).unsqueeze(1) * inputs_b.norm(dim=1)
    return lengths, (inputs_a @ inputs_b.T / lengths).clamp(-1, 1)


def nngp_kernel(
    inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"], stds: LayerStds, architecture: Architecture
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
    require_architecture(architecture, input_dim=inputs_a.shape[1])
    return lengths * kernel_profiles(cosines, stds, architecture)[0]


def tangent_kernel(
    inputs_a: Float[Tensor, "a dim"], inputs_b: Float[Tensor, "b dim"], stds: LayerStds, architecture: Architecture
) -> Float[Tensor, "a b"]:
    r"""Tangent kernel of one output before training, all weights trained, leading order in the width.

    .. math:: T_1 = \langle x, x'\rangle,\quad
              T_{l+1} = H_l + T_l\, \frac{m\beta_{l+1}^2}{2}\,\frac{\pi - \theta_l}{\pi},\quad K = T_L

    Its mean over the weights is exact at depth 2. It keeps the width: LeCun and He mainly train the
    layers after the first for width >> input dimension, the talk's NTK all layers but the last.
    """
    lengths, cosines = lengths_and_cosines(inputs_a, inputs_b)
    require_architecture(architecture, input_dim=inputs_a.shape[1])
    return lengths * kernel_profiles(cosines, stds, architecture)[1]
