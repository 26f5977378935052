r"""Random-feature regression: two-layer ReLU networks of which only the last layer is fitted.

.. math:: f(x) = \frac1{\sqrt k}\sum_{j=1}^k a_j \max(\langle w_j, x\rangle, 0)

The k directions w_j, uniform on the unit sphere, stay as drawn. f is linear in the outer weights a, and so is
its gradient with respect to x: every fit below is a convex problem. The fits are ``ReLUMLP`` of depth 2, for which
``stability`` has gradients.
"""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.arguments import require_at_least, require_not_negative, require_positive
from tutorial_lib.models import ReLUMLP, require_network
from tutorial_lib.perturbations import uniform_on_sphere
from tutorial_lib.stability import input_jacobians
from tutorial_lib.tensors import require_finite, require_like

# How near a share of the loss may come to 0 or 1: its inverse is a weight in a least-squares problem.
_SMALLEST_SHARE = 1e-8


def random_directions(*, num_features: int, input_dim: int, generator: Generator) -> Float[Tensor, "features dim"]:
    """Return ``num_features`` independent directions, uniform on the unit sphere; float64 on the CPU."""
    require_at_least(1, num_features=num_features, input_dim=input_dim)
    return uniform_on_sphere(torch.empty(num_features, input_dim, dtype=torch.float64), generator=generator)


def feature_network(directions: Float[Tensor, "features dim"], outer: Float[Tensor, " features"]) -> ReLUMLP:
    """Return f as a network of depth 2: input weights ``directions``, output weights ``outer`` over sqrt(k)."""
    require_finite(directions=directions, outer=outer)
    require_like(directions, outer=outer)
    if directions.ndim != 2 or len(directions) == 0 or outer.shape != directions.shape[:1]:
        shapes = f"{tuple(directions.shape)} and {tuple(outer.shape)}"
        raise ValueError(f"directions and outer must have shapes (features, dim) and (features,), got {shapes}")
    return ReLUMLP.from_weights([directions, outer.unsqueeze(0)], output_divisor=sqrt(len(directions)))


def minimum_norm_fit(
    directions: Float[Tensor, "features dim"], x: Float[Tensor, "batch dim"], y: Float[Tensor, " batch"]
) -> ReLUMLP:
    r"""Return the least-squares fit whose outer weights have the smallest Euclidean norm: a = F^+ y.

    F is the matrix of features, one row per row of x. With rank(F) = batch, which needs at least as many features
    as rows, the fit interpolates: f(x_i) = y_i.
    """
    _require_data(directions, x, y)
    features, labels = _features(directions, x)[0].cpu(), y.unsqueeze(1).cpu()
    # By singular values: the default driver is wrong if a feature is 0 on all rows. CPU only, hence the moves.
    outer = torch.linalg.lstsq(features, labels, driver="gelsd").solution.squeeze(1)
    return feature_network(directions, outer.to(x))


def attacked_losses(
    model: ReLUMLP, x: Float[Tensor, "batch dim"], y: Float[Tensor, " batch"], *, radius: float
) -> Float[Tensor, " batch"]:
    r"""Return the largest squared error of the linearized network in the ball of ``radius`` around each row.

    .. math:: \max_{\|\delta\|\le r}(f(x) + \langle\nabla f(x),\delta\rangle - y)^2 = (|f(x)-y| + r\|\nabla f(x)\|)^2

    Exact for f replaced by its tangent plane at x, by Cauchy and Schwarz; radius 0 is the squared error. The network
    itself bends inside the ball, so this is neither an upper nor a lower bound for it.
    """
    require_network(model, output_dim=1)
    if model.num_networks is not None:
        raise ValueError(f"model must be one network, got an ensemble of {model.num_networks}")
    _require_data(model.weights[0].detach(), x, y)
    require_not_negative(radius=radius)
    gradients = input_jacobians(model, x).squeeze(-2).norm(dim=-1)
    losses: Tensor = ((model(x).detach() - y).abs() + float(radius) * gradients).square()
    return losses


def adversarial_fit(
    directions: Float[Tensor, "features dim"],
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, " batch"],
    *,
    radius: float,
    ridge: float,
    num_steps: int,
) -> ReLUMLP:
    r"""Return the fit that minimizes the mean of ``attacked_losses`` + ridge ||a||^2, a convex problem.

    With u the size of f(x) - y, v that of the gradient times radius, and a share s per row,

    .. math:: (u + v)^2 = \min_{0<s<1}\Bigl(\frac{u^2}s + \frac{v^2}{1-s}\Bigr),\quad s = \frac u{u+v},

    by Cauchy and Schwarz. A step solves the least-squares problem in a for the present shares, then
    takes the best shares: no step makes the objective larger. Shares are kept 1e-8 away from 0 and 1; float32
    cannot, so all is computed in float64 and then taken to the dtype of ``x``.
    """
    _require_data(directions, x, y)
    require_not_negative(radius=radius)
    require_positive(ridge=ridge)
    radius, ridge = float(radius), float(ridge)
    require_at_least(1, num_steps=num_steps)
    dtype, directions, x, y = x.dtype, directions.double(), x.double(), y.double()
    features, slopes = _features(directions, x)
    inner_products = directions @ directions.T
    shares = torch.full_like(y, 0.5)
    for _ in range(num_steps):
        matrix = features.T @ (features / shares.unsqueeze(1))
        gradients = slopes.T @ (slopes / (1 - shares).unsqueeze(1))
        # In place: at many features the time goes into new matrices, not into products.
        matrix.addcmul_(inner_products, gradients, value=radius**2).diagonal().add_(len(x) * ridge)
        right = (features.T @ (y / shares)).unsqueeze(1)
        outer = torch.cholesky_solve(right, torch.linalg.cholesky(matrix)).squeeze(1)
        u = (features @ outer - y).abs()
        v = radius * ((slopes * outer) @ directions).norm(dim=1)
        shares = (u / (u + v)).nan_to_num(nan=0.5).clamp(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    return feature_network(directions, outer).to(dtype)


def _features(directions: Tensor, x: Tensor) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch features"]]:
    """Features of each row, and the derivative of each feature along its own direction."""
    signals = x @ directions.T / sqrt(len(directions))
    return torch.relu(signals), (signals > 0).to(x) / sqrt(len(directions))


def _require_data(directions: Tensor, x: Tensor, y: Tensor) -> None:
    require_finite(directions=directions, x=x, y=y)
    matrices = directions.ndim == x.ndim == 2 and directions.numel() > 0 and len(x) > 0
    if not matrices or x.shape[1] != directions.shape[1]:
        shapes = f"{tuple(directions.shape)} and {tuple(x.shape)}"
        raise ValueError(f"directions and x must have shapes (features, dim) and (batch, dim), got {shapes}")
    if y.shape != x.shape[:1]:
        raise ValueError(f"y must have shape {tuple(x.shape[:1])}, one label per row of x, got {tuple(y.shape)}")
    require_like(directions, x=x, y=y)
