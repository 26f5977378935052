"""The formulas of the statements page, computed as printed and compared with the package.

`FORMULAS` has an entry for every displayed formula of a statement, in their order: the names whose values the package
gives, or the reason why there is nothing to compare. In each equation both sides must then agree.
"""

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.latex import Function, chains, value
from tutorial_lib.architecture import Architecture
from tutorial_lib.bounds import (
    homogeneous_lazy_rate,
    huang2021_rate,
    lazy_rate,
    lazy_rate_hump,
    lazy_rate_peak,
    non_lazy_rate,
    non_lazy_threshold,
    wu2021_rate,
)
from tutorial_lib.exact import (
    dead_network_probability,
    initial_mean_square_gradient,
    initial_perturbation_stability,
    initial_relative_variance,
    mean_abs_coordinate,
    mean_ball_length,
    mean_chi,
    mean_chi_binomial,
)
from tutorial_lib.exact_variants import (
    leaky_relu_perturbation_stability,
    mean_leaky_chi,
    mean_residual_growth,
    residual_mean_square_gradient,
    residual_perturbation_stability,
)
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he, ntk
from tutorial_lib.kernels import kernel_profiles, lengths_and_cosines, nngp_kernel, tangent_kernel
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.lazy_limit import Descent, Flow, LazyLimit, predicted_perturbation_stability
from tutorial_lib.models import ReLUMLP
from tutorial_lib.phase_diagram import regime, slide_condition, stds_at
from tutorial_lib.stability import input_jacobians

PAGE = (Path(__file__).parents[2] / "book" / "statements.md").read_text(encoding="utf-8")
NOTATION = (Path(__file__).parents[2] / "book" / "notation.md").read_text(encoding="utf-8")
DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<!\$)\$(?!\$)([^$]+)\$(?!\$)")
DEFINITION, STEP = "a definition", "a step of a proof"
LAW = "a law of matrices: its consequences are compared"

# One network of no special sizes, and one of one output.
SHAPE = Architecture(input_dim=5, width=7, depth=4, output_dim=3)
SINGLE = SHAPE.replace(output_dim=1)
STDS, ALPHA = LayerStds(0.7, 0.45, 1.3), 1.9
SIZES = {"d": 5, "m": 7, "L": 4, r"\alpha": ALPHA, r"\beta_1": 0.7, r"\beta": 0.45, r"\beta_L": 1.3, "h(m,L)": math.nan}
SIZES |= {"B": 0.7 * 0.45**2 * 1.3 / ALPHA, "o": 3, "h(m,L)": lazy_rate_hump(SHAPE), r"\epsilon": 0.3}
P_ONE = initial_perturbation_stability(STDS, SINGLE, output_divisor=ALPHA)
P_ALL = initial_perturbation_stability(STDS, SHAPE, output_divisor=ALPHA)
BALL, COORDINATE = mean_ball_length(5), mean_abs_coordinate(5)
K = mean_chi_binomial(7)


def statement(anchor: str, page: str = PAGE) -> str:
    """The text of a statement, from its heading to the next."""
    for text in re.split(r"^(?=#{2,3} )", page, flags=re.MULTILINE):
        if re.sub(r"[^a-z]+", "-", text.split("\n", 1)[0].lower()).strip("-") == anchor:
            return text
    raise AssertionError(f"the page has no statement {anchor}")


def displayed(anchor: str, page: str = PAGE) -> list[str]:
    return DISPLAYED.findall(statement(anchor, page))


def inline(anchor: str, start: str, page: str = PAGE) -> str:
    """The one formula in the text of a statement that starts like this."""
    text = DISPLAYED.sub("", statement(anchor, page))
    found = {formula for formula in INLINE.findall(text) if formula.startswith(start)}
    assert len(found) == 1, f"{anchor} has {len(found)} formulas that start with {start}"
    return found.pop()


def check(formula: str, names: Mapping[str, Any], *, close: float = 1e-9, attained: float | None = None) -> None:
    """Compare the sides of each equation of a formula: a single side with the name "".

    ``close``: how near the sides of an equation come, where it is an expansion. ``attained``: how near those of an
    inequality come, which is then almost an equality; its last relation is meant.
    """
    found = 0
    for chain in chains(formula):
        sides = [names[""], *(value(side, names) for side in chain[::2])] if len(chain) == 1 else None
        sides = sides or [value(side, names) for side in chain[::2]]
        relations = chain[1::2] or ["="]
        for place, relation in enumerate(relations):
            left, right, found = sides[place], sides[place + 1], found + 1
            if relation in ("<", ">", r"\le", r"\ge"):
                smaller, larger = (left, right) if relation in ("<", r"\le") else (right, left)
                assert smaller <= larger * (1 + 1e-9), (chain, smaller, larger)
                if attained is None or place + 1 < len(relations):
                    continue
            np.testing.assert_allclose(left, right, rtol=attained or close, atol=1e-12, err_msg="".join(chain))
    assert found > 0


def with_hump(**sizes: int) -> dict[str, Any]:
    shape = Architecture(**({"input_dim": 11, "width": 40, "depth": 3} | sizes))
    names = {"d": shape.input_dim, "m": shape.width, "L": shape.depth, "h(m,L)": lazy_rate_hump(shape)}
    rows = {"LeCun": "lecun", "He": "he", "NTK": "ntk"}
    return names | {rf"\text{{{row}:}}": lazy_rate(scheme, shape) for row, scheme in rows.items()}


def two_layers() -> dict[str, Any]:
    """A network of two layers at one input, from its weights."""
    inner = torch.randn((4, 3), generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    outer, x = torch.tensor([[0.5, -1.5, 2.0, 0.7]], dtype=torch.float64), torch.tensor([0.3, -1.0, 0.8]).double()
    network = ReLUMLP.from_weights([inner, outer])
    return {
        "m": 4,
        "f_m(x)": network(x[None]).item(),
        "a_i": lambda i: outer[0, i - 1].item(),
        r"\max(\langle w_i,x\rangle,0)": lambda i: max(float(inner[i - 1] @ x), 0.0),
    }


def network() -> dict[str, Any]:
    """A network of three layers, its layers and its output at one input."""
    stds, shape = LayerStds(0.7, 0.6, 1.3), Architecture(input_dim=3, width=4, depth=3, output_dim=2)
    model = ReLUMLP(stds, shape, generator=torch.Generator().manual_seed(2), output_divisor=ALPHA)
    x = torch.tensor([[0.3, -1.0, 0.8]], dtype=torch.float64)
    weights = [weight.detach().reshape(weight.shape[-2:]).numpy() for weight in model.weights]
    first = np.maximum(weights[0] @ x[0].numpy(), 0)
    return {
        "f(x)": model(x).detach().flatten().numpy(),
        r"\alpha": ALPHA,
        "W_L": weights[2],
        "h_{L-1}": np.maximum(weights[1] @ first, 0),
        "h_l": np.maximum(weights[1] @ first, 0),
        "W_lh_{l-1}": weights[1] @ first,
        r"\phi": Function(lambda z: np.maximum(z, 0)),
        "1": 1,
        "l": 2,
        "L": 3,
    }


def movement() -> dict[str, Any]:
    stds, shape = LayerStds(0.7, 0.6, 1.3), Architecture(input_dim=3, width=4, depth=3)
    start, end = (ReLUMLP(stds, shape, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4))

    def moved(layer: int) -> float:
        return (end.weights[layer - 1] - start.weights[layer - 1]).detach().norm().item()

    return {
        r"\kappa": lazy_ratio(start, end).item(),
        r"\lVert W_l(t)-W_l(0)\rVert_F": moved,
        r"\lVert W_l(0)\rVert_F": lambda layer: start.weights[layer - 1].detach().norm().item(),
        "L": 3,
    }


def at_schemes(**sizes: int) -> dict[str, Any]:
    shape = Architecture(**({"input_dim": 5, "width": 7, "depth": 4} | sizes))
    found = {scheme: initial_perturbation_stability(make(shape), shape) for scheme, make in INITIALIZATIONS.items()}
    names = {"LeCun": "lecun", "He": "he", "NTK": "ntk"}
    return {rf"\mathcal P_{{\mathrm{{{name}}}}}": found[scheme] for name, scheme in names.items()} | SIZES


def silent() -> dict[str, Any]:
    """One neuron on its way, whose a and w have the same length r and grow as fast as the proposition allows."""
    start, growth, level, time = 0.1, 0.4, 0.05, 3.0
    length = start * math.exp((growth + level) * time)
    return {
        r"\frac{\mathcal P(f_t,\epsilon)}\epsilon": COORDINATE * length**2,
        "c_d": COORDINATE,
        "S_0": 2 * start**2,
        "G": growth,
        r"\delta": level,
        "t": time,
    }


def end_of_silence() -> dict[str, Any]:
    names = silent()
    grown = math.log(names[r"\delta"] / (names["S_0"] / 2))  # of r^2, from its start to delta
    return names | {"t": grown / (2 * (names["G"] + names[r"\delta"]))}


def random_matrix(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def cosine_of_gradient() -> dict[str, Any]:
    model = ReLUMLP(STDS, SINGLE, generator=torch.Generator().manual_seed(5), output_divisor=ALPHA)
    x = torch.tensor([[0.3, -1.0, 0.8, 0.2, 1.4]], dtype=torch.float64)
    gradient = input_jacobians(model, x).flatten()
    first = (gradient / gradient.norm()) @ (x[0] / x.norm())  # of a direction that is uniform on the sphere
    return {
        r"\lvert f(x)\rvert": model(x).abs().item(),
        r"\lVert x\rVert": x.norm().item(),
        r"\lVert\nabla f(x)\rVert": gradient.norm().item(),
        r"\lvert u_1\rvert": first.abs().item(),
    }


def leaky(slope: float = 0.6, width: int = 7) -> dict[str, Any]:
    shape = SHAPE.replace(width=width)
    stability = leaky_relu_perturbation_stability(STDS, shape, slope=slope, output_divisor=ALPHA)
    chi = mean_leaky_chi(width, slope=slope)
    return SIZES | {
        r"\frac{\mathcal P}\epsilon": stability,
        r"\lVert Jv\rVert": stability / BALL,
        r"\mathbb E[\chi_o]": mean_chi(3),
        r"\chi_o": mean_chi(3),
        "k_m(a)": chi,
        r"\sqrt{\chi_{N_l}^2+a^2\chi_{m-N_l}^2}": chi,
        r"\mathbb E\sqrt{\chi_N^2+a^2\chi_{m-N}^2}": chi,
        "r_m(a)": chi / math.sqrt(width * (1 + slope**2) / 2),
        "a": slope,
        "m": width,
        "O(m^{-2})": 0.0,
    }


TAU = 0.8
OMEGA = TAU * STDS.hidden**2


def residual(depth: int = 6) -> dict[str, Any]:
    shape = SHAPE.replace(depth=depth)
    stability = residual_perturbation_stability(STDS, shape, branch_scale=TAU, output_divisor=ALPHA)
    growth = mean_residual_growth(7, weight_scale=OMEGA)
    return SIZES | {
        r"\frac{\mathcal P}\epsilon": stability,
        r"\lVert Jv\rVert": stability / BALL,
        r"\chi_m": mean_chi(7),
        r"\chi_o": mean_chi(3),
        r"\mathbb E[\chi_m]": mean_chi(7),
        r"\mathbb E[\chi_o]": mean_chi(3),
        r"\lVert e+\omega\chi_{N_k}g_k\rVert": growth,
        r"\mathbb E\lVert e+\omega\chi_Ng\rVert": growth,
        r"q_m(\omega)": growth,
        r"\omega": OMEGA,
        r"\mathbb E\lVert J\rVert_F^2": residual_mean_square_gradient(
            STDS, shape, branch_scale=TAU, output_divisor=ALPHA
        ),
        "H": (depth - 2) // 2,
    }


def growth_of_a_block(width: int, scale: float) -> dict[str, Any]:
    return {"m": width, r"\omega": scale, r"q_m(\omega)": mean_residual_growth(width, weight_scale=scale), "1": 1}


def many_blocks(blocks: int = 10**6) -> tuple[float, float]:
    """The factors of P and of the mean square gradient by many blocks, each multiplied by 1 / sqrt(blocks)."""
    shape, stds = Architecture(input_dim=5, width=7, depth=2 * blocks + 2), LayerStds(0.7, 1.0, 1.3)
    plain, scale = shape.replace(depth=2), 0.1 / math.sqrt(blocks)
    return tuple(
        of(stds, shape, branch_scale=scale) / of(stds, plain, branch_scale=0.0)
        for of in (residual_perturbation_stability, residual_mean_square_gradient)
    )


def limit() -> SimpleNamespace:
    """A lazy limit of two points in three dimensions, seen from one input."""
    shape, stds = Architecture(input_dim=3, width=16, depth=3), LayerStds(0.5, 0.3, 0.4)
    draws = torch.Generator().manual_seed(6)
    train_x, x = (torch.randn((rows, 3), generator=draws, dtype=torch.float64) for rows in (4, 1))
    train_y = torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    return SimpleNamespace(
        shape=shape, stds=stds, train_x=train_x, train_y=train_y, x=x, start=np.array([0.2, -0.1, 0.4, 0.3])
    )


def kernel_jacobian(kernel: Any, at: SimpleNamespace) -> np.ndarray:
    return torch.func.jacrev(lambda x: kernel(at.train_x, x[None], at.stds, at.shape)[:, 0])(at.x[0]).detach().numpy()


def lazy(training: Descent | Flow | None = None) -> dict[str, Any]:
    at = limit()
    theta = tangent_kernel(at.train_x, at.train_x, at.stds, at.shape).numpy()
    nngp = nngp_kernel(at.train_x, at.train_x, at.stds, at.shape).numpy()
    rate, steps = 4 / np.linalg.eigvalsh(theta)[-1], 7
    training = training or Descent(rate, steps)
    from_labels = LazyLimit(at.train_x, at.train_y, at.stds, at.shape)
    moved = LazyLimit(at.train_x, at.train_y - torch.tensor(at.start), at.stds, at.shape)
    mean, covariance = (found[0].numpy() for found in from_labels.gradients(at.x, training))
    change = moved.outputs(at.x, training)[0].item()
    inverse = from_labels._inverse_modes(training).numpy()
    by_theta, by_nngp = (kernel_jacobian(kernel, at) for kernel in (tangent_kernel, nngp_kernel))
    stability = predicted_perturbation_stability(at.train_x, at.train_y, at.x, at.stds, at.shape, training).mean
    return {
        r"\Theta(x,X)": tangent_kernel(at.x, at.train_x, at.stds, at.shape).numpy()[0],
        r"\Theta": theta,
        "K": nngp,
        "I": np.eye(4),
        r"\eta": rate,
        "n": 4,
        "A_t": inverse,
        "t": steps,
        "y": at.train_y.numpy(),
        "f_0(X)": at.start,
        "f_0(x)": 0.3,
        "f_t(x)": 0.3 + change,
        r"J_\Theta": by_theta,
        "J_K": by_nngp,
        r"\mathbb Eg": mean,
        r"\operatorname{Cov}g": covariance,
        "M": by_nngp.T @ inverse @ by_theta,
        "c_0": initial_mean_square_gradient(at.stds, at.shape) / 3,
        "B": at.stds.first * at.stds.hidden * at.stds.last,
        "m": 16,
        "L": 3,
        r"\frac{\mathcal P}\epsilon": stability,
        "c_d": mean_abs_coordinate(3),
        r"\mathbb E\lVert g\rVert": mean_length(mean, covariance),
        "loss": from_labels.training_loss(training),
    }


def mean_length(mean: np.ndarray, covariance: np.ndarray) -> float:
    """E||g|| of a Gaussian vector in three dimensions, by a rule of its own: 40 nodes along each axis."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), axis=-1)
    lengths = np.linalg.norm(grid @ np.linalg.cholesky(covariance).T + mean, axis=-1)
    weights = weights / weights.sum()
    return float(np.einsum("i,j,k,ijk", weights, weights, weights, lengths))


def switching_masks() -> dict[str, Any]:
    """Two layers: what the derivative of the tangent kernel loses when masks are held fixed."""
    shape, stds = Architecture(input_dim=3, width=16, depth=2), LayerStds(0.5, 0.0, 0.4)
    x, point = (torch.tensor(row, dtype=torch.float64) for row in ([0.3, -1.0, 0.8], [1.1, 0.4, 0.2]))

    def slope(fixed: bool) -> np.ndarray:
        free = x.clone().requires_grad_()
        lengths, cosines = lengths_and_cosines(free[None], point[None])
        (lengths * kernel_profiles(cosines, stds, shape, fixed_masks=fixed)[1]).sum().backward()
        return free.grad.numpy()

    lost = slope(False) - slope(True)
    orthogonal = point - (point @ x) / (x @ x) * x
    inner = float(x @ point)
    turned = x.clone().requires_grad_()
    ((math.pi - torch.arccos(turned @ point / turned.norm() / point.norm())) / (2 * math.pi)).backward()
    return {
        "q_i": lost,
        r"m\beta_2^2": 16 * 0.4**2,
        r"\langle x,x_i\rangle": inner,
        r"\nabla_x\frac{\pi-\omega_i}{2\pi}": turned.grad.numpy(),
        r"\lVert x\rVert": x.norm().item(),
        r"\lVert x_i^\perp\rVert": orthogonal.norm().item(),
        r"x_i^\perp": orthogonal.numpy(),
    }


def one_block(scheme: str) -> float:
    """What a block multiplies the mean square gradient by, with the standard deviations of a scheme."""
    one, none = (SINGLE.replace(depth=depth) for depth in (4, 2))
    stds = INITIALIZATIONS[scheme](one)
    of = residual_mean_square_gradient
    return of(stds, one, branch_scale=TAU) / of(stds, none, branch_scale=TAU)


def blocks_of(scheme: str, blocks: int = 10**6) -> float:
    """The same of many blocks, each multiplied by 1 / sqrt(blocks)."""
    many, none = (SINGLE.replace(depth=depth) for depth in (2 * blocks + 2, 2))
    stds, scale = INITIALIZATIONS[scheme](many), TAU / math.sqrt(blocks)
    of = residual_mean_square_gradient
    return of(stds, many, branch_scale=scale) / of(stds, none, branch_scale=scale)


TWO = Architecture(input_dim=5, width=7, depth=2)
SILENT_STDS = LayerStds(7**-1.2, 0.0, 7**-1.2)
AT_POINT = stds_at(1.7, 0.4, width=300)
LARGE = Architecture(input_dim=5, width=10**6, depth=2)
STABILITY = {r"\frac{\mathcal P}\epsilon": P_ALL, r"\frac{\mathcal P(f,\epsilon)}\epsilon": P_ONE}
CHIS = {r"\mathbb E[\chi_o]": mean_chi(3), r"\mathbb E\chi_o": mean_chi(3), r"\chi_o": mean_chi(3), "k_m": K}
CHIS |= {r"\chi_{N_l}": K, r"\mathbb E\chi_N": K, r"\chi_d": mean_chi(5)}
LENGTH = P_ONE / COORDINATE
SQUARE = initial_mean_square_gradient(STDS, SHAPE, output_divisor=ALPHA)
BLOCKS = many_blocks()

# By statement: for each displayed formula the names and what `check` may allow, or why it is not compared.
FORMULAS: dict[str, list[Any]] = {
    "stm-function-classes": [two_layers()],
    "stm-network": [network()],
    "stm-perturbation-stability": [DEFINITION],
    "stm-lazy-ratio": [movement()],
    "stm-lazy-theorem": [with_hump()],
    "stm-ntk-row": [
        at_schemes(),
        SIZES | {"": homogeneous_lazy_rate(STDS, SHAPE)},
    ],
    "stm-nonlazy-condition": [
        {
            r"\alpha": non_lazy_threshold(STDS, SHAPE),
            "m": 7,
            "L": 4,
            r"\beta_i": lambda i: STDS.of_layers(SHAPE)[i - 1],
        }
    ],
    "stm-sharp-border": [
        {
            r"\gamma": 1.7,
            r"\gamma'": 0.4,
            r"\lim": 1,
            r"\beta_1": AT_POINT.first,
            r"\beta_2": AT_POINT.last,
            r"\alpha": 1,
            "m": 300,
        }
    ],
    "stm-nonlazy-theorem": [
        (
            {
                r"\frac{\mathcal P(f_t,\epsilon)}\epsilon": non_lazy_rate(num_samples=20, width=50, exponent=1.2),
                r"\tilde O": Function(lambda rate: rate),
                "n": 20,
                "m": 50,
                "c": 1.2,
            },
            {"attained": 1e-9},
        )
    ],
    "stm-nonlazy-check": [
        (
            {
                r"\frac{\mathcal P}\epsilon": initial_perturbation_stability(
                    LayerStds(1e-3, 0.0, 1e-3), LARGE, output_divisor=1.0
                ),
                "d": 5,
                "m": 10**6,
                "c": 0.5,
                "k_m": mean_chi_binomial(10**6),
            },
            {"close": 1e-6},
        )
    ],
    "stm-silent-phase": [
        DEFINITION,
        (silent(), {"attained": 1e-9}),
        end_of_silence(),
        STEP,
    ],
    "stm-ball-average": [STABILITY | {"c_d": COORDINATE, r"\mathbb E\lVert\nabla f(x)\rVert": LENGTH, "d": 5}],
    "stm-independent-masks": [LAW, STEP],
    "stm-chi-law": [
        SIZES | CHIS | {r"\lVert Jv\rVert": P_ALL / BALL},
        SIZES | CHIS | {r"\lVert\nabla f(x)\rVert": LENGTH},
    ],
    "stm-exact-stability": [
        SIZES | STABILITY | CHIS,
        SIZES
        | CHIS
        | {
            r"\mathbb E\lVert J(\hat x-x)\rVert": 0.3 * P_ALL,
            r"\mathbb ER": BALL,
            r"\mathbb E\lVert Ju\rVert": P_ALL / BALL,
        },
    ],
    "stm-monotone": [
        (
            {"r_m": mean_chi_binomial(200) / math.sqrt(100), "m": 200, "O(m^{-3})": -95 / (1024 * 200**3)},
            {"close": 1e-9},
        ),
        STEP,
    ],
    "stm-moments": [
        SIZES
        | {
            r"\mathbb E\lVert J\rVert_F^2": SQUARE,
            r"\mathbb E\lVert J(\hat x-x)\rVert^2": SQUARE * 0.3**2 / 7,  # ball average: epsilon^2 / (d + 2)
        },
        SIZES | {"": initial_relative_variance(SINGLE)},
    ],
    "stm-scale-free": [
        STABILITY | {"d": 5, r"\mathbb E\lVert f(x)\rVert": 2.5 * P_ALL / BALL, r"\lVert x\rVert": 2.5},  # f(x) = J x
        cosine_of_gradient(),
    ],
    "stm-leaky-relu": [leaky(), leaky(), (leaky(width=4000), {"close": 1e-7})],
    "stm-residual-blocks": [
        DEFINITION,
        LAW,
        residual(),
        residual(),
        STEP,
        [
            (growth_of_a_block(2000, 1.0 / 2000), {"close": 1e-3, "attained": 1e-3}),
            (growth_of_a_block(7, 1e-3) | {r"O(\omega^4)": 0.0}, {"close": 1e-8}),
        ],
        [({r"\omega_0": 0.1, "m": 7, "": factor}, {"close": 1e-5}) for factor in BLOCKS],
    ],
    "stm-euler-floor": [
        # One input of dimension 1: f(x) is the gradient times x, and the bound is attained.
        (
            {
                r"\frac{\mathcal P(f_t,\epsilon)}\epsilon": mean_abs_coordinate(1) * 1.7,
                "c_d": mean_abs_coordinate(1),
                r"\mathbb E\lvert f_t(x)\rvert": 1.7 * 0.4,
                r"\lVert x\rVert": 0.4,
            },
            {"attained": 1e-9},
        ),
        (
            {
                r"\frac{\mathcal P(f_t,\epsilon)}\epsilon": mean_abs_coordinate(1) * 0.7,
                "c_d": mean_abs_coordinate(1),
                r"\ell": 0.5 * 0.3**2,  # 0.7 instead of the label 1
            },
            {"attained": 1e-9},
        ),
    ],
    "stm-lazy-limit": [lazy(), lazy() | {"I": np.eye(3)}, (lazy(), {"close": 3e-4})],
    "stm-linearized-gradient": [
        "a sum with coefficients that training gives: tests/test_laziness.py compares it",
        "the same, layer by layer",
        switching_masks(),
        "of single masks: only its limits are known",
        "limits with unnamed constants",
        STEP,
        STEP,
    ],
}


def compared(anchor: str, place: int, formula: str) -> None:
    """Check one displayed formula; equations with names of their own are given one by one."""
    entry = FORMULAS[anchor][place]
    if isinstance(entry, list):
        parts = [part for part in re.split(r",\s*\\qquad|\\quad\\text\{and\}\\quad", formula)]
        assert len(parts) == len(entry)
        for part, (names, allowed) in zip(parts, entry, strict=True):
            check(part, names, **allowed)
    else:
        names, allowed = entry if isinstance(entry, tuple) else (entry, {})
        check(formula, names, **allowed)


def anchors(page: str = PAGE) -> list[str]:
    headings = re.findall(r"^### (Stm\. .+)$", page, re.MULTILINE)
    return [re.sub(r"[^a-z]+", "-", heading.lower()).strip("-") for heading in headings]


COMPARED = [
    (anchor, place) for anchor, entries in FORMULAS.items() for place, one in enumerate(entries) if type(one) is not str
]


def test_every_displayed_formula_is_compared_or_has_a_reason_not_to_be():
    assert {anchor: len(displayed(anchor)) for anchor in anchors() if displayed(anchor)} == {
        anchor: len(entries) for anchor, entries in FORMULAS.items()
    }


@pytest.mark.parametrize(("anchor", "place"), COMPARED)
def test_a_displayed_formula_is_what_the_package_computes(anchor, place):
    compared(anchor, place, displayed(anchor)[place])


def tangent(scheme: str) -> np.ndarray:
    x = torch.tensor([[0.3, -1.0, 0.8, 0.2, 1.4], [0.1, 1.0, -0.4, 0.3, 0.9]], dtype=torch.float64)
    return tangent_kernel(x, x, INITIALIZATIONS[scheme](SINGLE), SINGLE).numpy()


def expansion() -> dict[str, Any]:
    """Moments of delta = Z_m - 1, from those of b g^2 with a fair coin b, E (b g^2)^k = (2k - 1)!! / 2."""
    width, moments = 10**4, [1, 0.5, 1.5, 7.5, 52.5]
    second = moments[2] - 0.25
    third = moments[3] - 3 * moments[2] * 0.5 + 2 * 0.125
    fourth = moments[4] - 4 * moments[3] * 0.5 + 6 * moments[2] * 0.25 - 3 * 0.0625
    return {
        "m": width,
        r"\mathbb E\delta^2": 4 * second / width,
        r"\mathbb E\delta^3": 8 * third / width**2,
        r"\mathbb E\delta^4": 16 * (fourth + 3 * (width - 1) * second**2) / width**3,
        "O(m^{-3})": 0.0,
    }


FROM, TO = he(SINGLE), ntk(SINGLE)
FLOW = lazy(Flow(0.7))


def losses() -> dict[str, Any]:
    """The two parts of the mean training loss of the lazy limit, by dense matrices."""
    found = lazy()
    kept = np.linalg.matrix_power(np.eye(4) - found[r"\eta"] / 4 * found[r"\Theta"], found["t"])
    return {
        "": found["loss"],
        "n": 4,
        r"\lVert R_ty\rVert^2": float((kept @ found["y"]) @ (kept @ found["y"])),
        r"\operatorname{tr}R_tKR_t^\top": float(np.trace(kept @ found["K"] @ kept.T)),
    }


# Formulas in the text of a statement, by how they begin.
IN_TEXT: dict[tuple[str, str], Any] = {
    ("stm-initialization-table", r"\Theta_{\rm LeCun}="): {
        r"\Theta_{\rm LeCun}": tangent("lecun"),
        r"\Theta_{\rm He}": tangent("he"),
        "L": 4,
    },
    ("stm-lazy-theorem", "h(m,L)="): with_hump(),
    ("stm-lazy-theorem", r"\sqrt{L^3m/d}\;e^{-m/L^3}+"): with_hump()
    | {"": lazy_rate("he", SHAPE.replace(input_dim=11, width=40, depth=3))},
    ("stm-width-peak", "m=L^3/2"): {"m": lazy_rate_peak(6), "L": 6},
    ("stm-width-peak", r"L^3/\sqrt{2e}"): ({"L": 6}, {"close": 0.005}),
    ("stm-width-peak", r"\ln h="): with_hump() | {"h": lazy_rate_hump(SHAPE.replace(width=40, depth=3))},
    ("stm-width-peak", r"h=\sqrt{L^6/2}"): {"L": 6, "h": lazy_rate_hump(SHAPE.replace(width=108, depth=6))},
    ("stm-ntk-row", "s_1="): SIZES | {"s_1": TO.first / FROM.first},
    ("stm-ntk-row", "s_L="): SIZES | {"s_L": TO.last / FROM.last},
    ("stm-ball-average", r"\mathbb ER="): {r"\mathbb ER": BALL, "d": 5},
    ("stm-ball-average", r"\mathbb E\chi_d="): {r"\mathbb E\chi_d": mean_chi(5), "d": 5},
    ("stm-ball-average", "c_1="): {"c_1": mean_abs_coordinate(1)},
    ("stm-ball-average", "c_2="): {"c_2": mean_abs_coordinate(2)},
    ("stm-ball-average", "c_3="): {"c_3": mean_abs_coordinate(3)},
    ("stm-ball-average", "c_5="): {"c_5": mean_abs_coordinate(5)},
    ("stm-ball-average", r"c_d\approx"): ({"c_d": mean_abs_coordinate(10**6), "d": 10**6}, {"close": 1e-5}),
    ("stm-chi-law", "1-(1-2"): {"": dead_network_probability(SHAPE), "m": 7, "L": 4},
    ("stm-exact-stability", r"\mathbb E\chi_1="): {r"\mathbb E\chi_1": mean_chi(1)},
    ("stm-monotone", r"\mathbb E\delta^2"): expansion(),
    ("stm-monotone", r"\mathbb E\delta^3"): expansion(),
    ("stm-monotone", r"\mathbb E\delta^4"): (expansion(), {"close": 2e-3}),
    ("stm-rows-at-start", r"\mathbb E\chi_1="): {r"\mathbb E\chi_1": mean_chi(1)},
    ("stm-rows-at-start", r"\frac d{d+1}\cdot\frac"): ({"d": 8}, {"attained": 0.004}),
    ("stm-leaky-relu", r"r_m(a)=k_m(a)"): leaky(),
    ("stm-leaky-relu", r"k_m(0)="): {"k_m(0)": mean_leaky_chi(7, slope=0), "k_m": K},
    ("stm-leaky-relu", r"k_m(1)="): {"k_m(1)": mean_leaky_chi(7, slope=1), r"\mathbb E\chi_m": mean_chi(7)},
    ("stm-residual-blocks", r"1+\frac12\tau^2"): {"": one_block("lecun"), r"\tau": TAU},
    ("stm-residual-blocks", r"1+2\tau^2"): {"": one_block("he"), r"\tau": TAU},
    ("stm-residual-blocks", r"e^{\tau_0^2/2}"): ({"": blocks_of("lecun"), r"\tau_0": TAU}, {"close": 1e-5}),
    ("stm-residual-blocks", r"e^{2\tau_0^2}"): ({"": blocks_of("ntk"), r"\tau_0": TAU}, {"close": 1e-5}),
    ("stm-lazy-limit", r"\frac1{2n}\bigl"): losses(),
    ("stm-lazy-limit", r"A_t=\Theta^{-1}(I-e"): FLOW | {"t": 0.7},
}


@pytest.mark.parametrize(("anchor", "start"), IN_TEXT)
def test_a_formula_in_the_text_is_what_the_package_computes(anchor, start):
    entry = IN_TEXT[anchor, start]
    names, allowed = entry if isinstance(entry, tuple) else (entry, {})
    check(inline(anchor, start), names, **allowed)


# Of the page of symbols.
IN_NOTATION = {
    ("probability", r"\mathbb E\chi_k="): {r"\mathbb E\chi_k": mean_chi(6), "k": 6},
    ("stability", r"\sqrt{L^3m}"): {"": lazy_rate_hump(SHAPE), "m": 7, "L": 4},
    ("sizes-and-the-network", r"\beta_1\beta"): {"": P_ONE / BALL / mean_chi(1) / K**3} | SIZES,
    ("sizes-and-the-network", "L=2H+2"): {"L": 6, "H": residual(6)["H"]},
    ("probability", r"k_m/\sqrt{m/2}"): {"": mean_leaky_chi(7, slope=0) / math.sqrt(3.5), "k_m": K, "m": 7},
    ("probability", r"k_m(0)="): {"k_m(0)": mean_leaky_chi(7, slope=0), "k_m": K},
}


@pytest.mark.parametrize(("heading", "start"), IN_NOTATION)
def test_a_formula_of_the_notation_is_what_the_package_computes(heading, start):
    check(inline(heading, start, NOTATION), IN_NOTATION[heading, start])


def table(anchor: str, first: str) -> list[list[str]]:
    """The rows of the table of a statement whose heading begins like this, without their dollar signs."""
    text = statement(anchor)
    lines = text[text.index(f"| {first}") :].splitlines()[2:]
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip().replace("$", "") for cell in line.strip("| ").split(" | ")] for line in lines]


def test_the_table_of_initializations_has_the_standard_deviations_of_the_package():
    rows = {"LeCun": "lecun", "He": "he", "NTK": "ntk"}
    found = table("stm-initialization-table", "name")
    assert [row[0] for row in found] == list(rows)
    for name, *cells in found:
        stds = INITIALIZATIONS[rows[name]](SHAPE)
        assert [value(cell, SIZES) for cell in cells] == pytest.approx(list(stds), rel=1e-12)


def rounded(number: float, printed: str) -> str:
    """A number with as many decimals as the printed one."""
    return f"{number:.{len(printed.partition('.')[2])}f}"


def test_the_table_of_the_peak_has_its_places_heights_and_ends():
    for depth, peak, height, end in table("stm-width-peak", "depth"):
        shape = Architecture(input_dim=1, width=1, depth=int(depth))
        assert float(peak) == lazy_rate_peak(int(depth))
        assert height == rounded(lazy_rate_peak_height(int(depth)), height)
        assert lazy_rate_hump(shape.replace(width=int(end))) < 1 <= lazy_rate_hump(shape.replace(width=int(end) - 1))


def lazy_rate_peak_height(depth: int) -> float:
    """The largest value of the hump, at a width that need not be whole."""
    widths = np.linspace(0.5, 1.5, 1001) * lazy_rate_peak(depth)
    return float(np.max(np.sqrt(depth**3 * widths) * np.exp(-widths / depth**3)))


def test_the_depths_at_which_the_printed_row_of_lecun_falls_and_rises():
    width, until, again, end = map(
        int,
        re.search(
            r"at \$m=(\d+)\$ it falls up to \$L=(\d+)\$, rises on\s+reaching \$L=(\d+)\$ to \$(\d+)\$",
            statement("stm-width-peak"),
        ).groups(),
    )
    rates = {depth: lazy_rate("lecun", Architecture(input_dim=9, width=width, depth=depth)) for depth in range(2, 40)}
    rises = [depth for depth in range(3, 40) if rates[depth] > rates[depth - 1]]
    assert again == until + 1
    assert rises == list(range(again, end + 1))


def test_the_table_of_three_bounds_has_the_rates_of_the_package():
    rates = [lazy_rate("ntk", SINGLE), wu2021_rate(SINGLE), huang2021_rate(SINGLE)]
    cells = [row[1] for row in table("stm-comparison", "source")]
    assert [value(cell, SIZES) for cell in cells] == pytest.approx(rates, rel=1e-12)


def test_the_rows_of_the_slide_and_the_one_that_fits():
    he_row, ntk_row, fitting = (
        [value(cell, SIZES | {"h": lazy_rate_hump(SHAPE)}) for cell in cells]
        for _, *cells in table("stm-ntk-row", "row")
    )
    assert sum(he_row) == pytest.approx(lazy_rate("he", SHAPE))
    assert sum(ntk_row) == pytest.approx(lazy_rate("ntk", SHAPE))
    assert fitting == pytest.approx([math.sqrt(5) * one for one in he_row])
    words = re.search(r"is (\d) times the slide's LeCun row, (\d) times its He row, and \$(.+?)\$ times", PAGE)
    one, two, root = (value(word, {}) for word in words.groups())
    sizes = {scheme: homogeneous_lazy_rate(make(SHAPE), SHAPE) for scheme, make in INITIALIZATIONS.items()}
    assert sizes["lecun"] == pytest.approx(one * lazy_rate("lecun", SHAPE))
    assert sizes["he"] == pytest.approx(two * lazy_rate("he", SHAPE))
    assert sizes["ntk"] == pytest.approx(root * sum(fitting))


def test_the_regimes_of_the_example():
    # One c in each line of the table.
    for c, (_, slide, diagram) in zip((0.3, 0.5, 1.1, 1.7), table("stm-nonlazy-condition", "$L=2$"), strict=True):
        assert slide == ("non-lazy" if slide_condition(2 * c, 0) else "silent")
        assert diagram.split()[0] == regime(2 * c, 0)
    borders = [row[0] for row in table("stm-nonlazy-condition", "$L=2$")]
    lower, equal, again, upper, last = (value(one, {}) for row in borders for one in re.findall(r"\\tfrac\d\d?", row))
    assert lower == equal == again and upper == last
    assert [regime(2 * c, 0) for c in (lower - 0.01, lower, lower + 0.01)] == ["linear", "critical", "condensed"]
    assert not slide_condition(2 * upper, 0) and slide_condition(2 * upper + 0.01, 0)
    wedge = inline("stm-nonlazy-condition", r"\gamma>3")
    least = value(wedge.partition(">")[2], {r"\gamma'": -0.7})
    assert slide_condition(least + 1e-9, -0.7) and not slide_condition(least - 1e-9, -0.7)


def test_the_rates_at_the_start_of_the_non_lazy_check():
    (_, slide, here), _ = table("stm-nonlazy-check", "item")
    names = {"n": 20, "m": 50, "c": 1.2}
    assert value(slide, names) == pytest.approx(non_lazy_rate(num_samples=20, width=50, exponent=1.2))
    sizes = [Architecture(input_dim=5, width=width, depth=2) for width in (10**5, 10**6)]
    exact = [initial_perturbation_stability(LayerStds(s.width**-1.2, 0.0, s.width**-1.2), s) for s in sizes]
    power = [value(here.split(" ")[0], names | {"m": size.width}) for size in sizes]
    assert exact[1] / exact[0] == pytest.approx(power[1] / power[0], rel=1e-4)


def test_the_limits_of_the_rows_at_the_start():
    wide = Architecture(input_dim=5, width=10**7, depth=4)
    names = {"d": 5, "L": 4}
    for name, limit_of, plateau, ratio in table("stm-rows-at-start", "scheme"):
        scheme = name.lower()
        start = initial_perturbation_stability(INITIALIZATIONS[scheme](wide), wide)
        assert value(limit_of, names) == pytest.approx(start, rel=1e-6)
        assert value(plateau, names) == pytest.approx(lazy_rate(scheme, wide), rel=1e-12)
        assert value(ratio, names) == pytest.approx(start / lazy_rate(scheme, wide), abs=0.0005 * BALL)
    three = re.search(r"The three numbers are \$(.+?)\$, \$(.+?)\$ and \$(.+?)\$", PAGE).groups()
    numbers = [cells[3].rpartition(r"\cdot")[2] for cells in table("stm-rows-at-start", "scheme")]
    assert [rounded(value(one, {}), number) for one, number in zip(three, numbers, strict=True)] == numbers
    smallest = int(re.search(r"The He row\s+with the constant 1 fails for \$d\\ge(\d+)\$", PAGE)[1])
    above = [mean_ball_length(d) * 2 / math.sqrt(math.pi) > 1 for d in range(1, 30)]
    assert above.index(True) + 1 == smallest and all(above[smallest - 1 :])


def test_the_mean_squares_of_the_three_schemes():
    words = re.search(r"is, at every width, \$(.+?)\$ for LeCun, \$(.+?)\$ for He and \$(.+?)\$ for NTK", PAGE).groups()
    squares = [initial_mean_square_gradient(make(SINGLE), SINGLE) for make in INITIALIZATIONS.values()]
    assert [value(word, SIZES) for word in words] == pytest.approx(squares, rel=1e-12)


def number(pattern: str) -> list[str]:
    """The numbers that a sentence of the page has in the places of the groups."""
    found = re.search(pattern, PAGE)
    assert found, f"no sentence {pattern}"
    return list(found.groups())


def at(dim: int, *, width: int = 4, depth: int = 2) -> Architecture:
    return Architecture(input_dim=dim, width=width, depth=depth)


def worst_ratio(dim: int) -> float:
    """The talk's rate over the smaller of the other two, at most, over widths and depths."""
    shapes = [at(dim, width=width, depth=depth) for width in range(2, 60) for depth in range(2, 12)]
    return max(lazy_rate("ntk", shape) / min(wu2021_rate(shape), huang2021_rate(shape)) for shape in shapes)


def test_the_sizes_at_which_the_rate_of_the_talk_is_the_smallest():
    dim, times = number(r"for all \$L\\ge2\$, \$m\\ge2\$ and \$d\\ge(\d+)\$; .+? at most \$(\S+)\$ times the smaller")
    assert worst_ratio(int(dim)) < 1 < worst_ratio(int(dim) - 1)
    assert float(times) - 0.1 < worst_ratio(1) <= float(times)
    sharp, talk, theirs = number(
        r"at \$d=(\d+)\$, \$L=2\$, \$m=4\$ the talk's expression is \$(.+?)\$ and HWE\+21's is \$(.+?)\$"
    )
    assert int(sharp) == int(dim) - 1
    assert talk == rounded(lazy_rate("ntk", at(int(sharp))), talk)
    assert theirs == rounded(huang2021_rate(at(int(sharp))), theirs)


def test_the_numbers_of_the_argument_against_the_second_bound():
    largest, below, dim, most, factor = number(
        r"At \$L=2\$ this is \$(.+?)<(.+?)\$ for \$d=(\d+)\$ and at most \$(.+?)\$, less than \$(.+?)\\cdot2\$"
    )
    peak = 2**3 / math.sqrt(2 * math.e)
    assert largest == rounded(1 + peak / math.sqrt(int(dim)), largest) and worst_ratio(int(dim)) < 1
    assert float(below) == pytest.approx(huang2021_rate(at(1)))
    assert 1 + peak <= float(most) < 1.01 + peak and float(most) < 2 * float(factor) < 1.05 * float(most)
    (constant,) = number(r"\\le(0\.\d+)\\,L\^2m\^\{1/3\}/\\sqrt d\$")
    assert float(constant) - 0.01 < (6 * math.e) ** (-1 / 6) <= float(constant)


def test_the_numbers_of_the_misreading_of_the_third_bound():
    dim, width, bound, exact = number(r"at \$d=(\d+)\$, \$L=2\$, \$m=(\d+)\$: \$(.+?)\$ against \$(.+?)\$")
    shape = at(int(dim), width=int(width))
    assert bound == rounded(mean_abs_coordinate(int(dim)) * huang2021_rate(shape), bound)
    assert exact == rounded(initial_perturbation_stability(ntk(shape), shape), exact)


def test_the_factor_of_layers_that_are_not_dead():
    first, width = number(r"it falls from (\S+) at \$m=1\$ to a minimum at \$m=(\d+)\$")
    factors = [mean_chi_binomial(m) / math.sqrt(m / 2) / (1 - 2.0**-m) for m in range(1, 50)]
    assert first == rounded(factors[0], first) and int(np.argmin(factors)) + 1 == int(width)


def test_the_bracket_of_the_leaky_relu():
    relu, linear = map(float, number(r"The bracket falls from (\d) at \$a=0\$ to (\d) at \$a=\\pm1\$"))
    for slope, bracket in ((0.0, relu), (1.0, linear)):
        lost = 1 - mean_leaky_chi(4000, slope=slope) / math.sqrt(4000 * (1 + slope**2) / 2)
        assert 8 * 4000 * lost == pytest.approx(bracket, rel=1e-3)
