"""Every public function with every argument replaced by every edge case: a right number or a clear refusal.

The outcome is a finite result, or a ``ValueError`` or ``TypeError`` that names the argument; the arguments, the
modes of models and the global random states are what they were before.
"""

import random
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import fields, is_dataclass
from inspect import isclass, isfunction, ismodule, signature
from math import inf, isfinite, nan

import numpy as np
import pytest
import torch
from torch import nn

import tutorial_lib
from tutorial_lib import (
    architecture,
    bounds,
    estimates,
    exact,
    exact_variants,
    gaussians,
    gradient_flow,
    initializations,
    kernels,
    laziness,
    lazy_limit,
    models,
    perturbations,
    phase_diagram,
    random_features,
    randomness,
    reports,
    stability,
    training,
)
from tutorial_lib.images import attacks, classifiers, transformations

MODULES = [
    architecture, bounds, estimates, exact, exact_variants, gaussians, gradient_flow, initializations, kernels,
    laziness, lazy_limit, models, perturbations, phase_diagram, random_features, randomness, reports, stability,
    training, attacks, classifiers, transformations,
]  # fmt: skip
# Not called by readers: checks, and parts of functions whose arguments have been checked.
INNER = {
    "require_architecture", "require_stds", "require_network", "require_inputs", "require_kernel_inputs",
    "require_images", "require_eval_mode", "require_classes", "scores_of", "exp_or_inf",
    "log_or_minus_infinity", "log_weight_scale", "mask_", "layer_inputs",
    "backward_signals", "directional_lengths", "stability_of_jacobians", "rows_at_once", "DifferentiableModule",
    "StabilityReport", "ClassifierReport", "RegressorReport", "DivergedError", "TrainingRecord", "Loss",
    "require_loss", "pooled", "ensemble_weights", "require_trainable", "require_labels", "require_levels",
    "loss_and_gradients", "FlowRecord",
}  # fmt: skip
SHAPE = architecture.Architecture(input_dim=3, width=4, depth=3)
BLOCKS = architecture.Architecture(input_dim=3, width=4, depth=6)
TWO = architecture.Architecture(input_dim=2, width=4, depth=2)
STDS = initializations.LayerStds(0.7, 0.5, 0.9)


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=stream(), dtype=torch.float64)


def network(shape=SHAPE, **settings):
    return models.ReLUMLP(STDS, shape, generator=stream(), **settings)


def other_network():
    trained = network()
    with torch.no_grad():
        trained.weights[0] += 0.1
    return trained


def small_classifier():
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 3), nn.BatchNorm1d(3)).double().eval()
    classifiers.initialize_(model, generator=stream())
    return model


def limit():
    return lazy_limit.LazyLimit(normal(5, 3), normal(5), STDS, SHAPE)


IMAGES = (0.5 + 0.1 * normal(2, 1, 3, 3)).clamp(0, 1)
STEP = {"learning_rate": 0.01, "num_steps": 3}
DESCENT = lazy_limit.Descent(**STEP)
# A good call of every public function.
CALLS: dict[str, Callable[[], tuple[Callable[..., object], dict[str, object]]]] = {
    "Architecture": lambda: (architecture.Architecture, {"input_dim": 3, "width": 4, "depth": 3, "output_dim": 2}),
    "LayerStds": lambda: (initializations.LayerStds, {"first": 1.0, "hidden": 0.5, "last": 2.0}),
    "lecun": lambda: (initializations.lecun, {"architecture": SHAPE}),
    "he": lambda: (initializations.he, {"architecture": SHAPE}),
    "ntk": lambda: (initializations.ntk, {"architecture": SHAPE}),
    "mup": lambda: (initializations.mup, {"architecture": SHAPE}),
    "stds_of_scheme": lambda: (initializations.stds_of_scheme, {"scheme": "he", "architecture": SHAPE}),
    "Estimate.from_draws": lambda: (estimates.Estimate.from_draws, {"draws": [1.0, 2.0, 4.0]}),
    "Estimate.z_score": lambda: (estimates.Estimate(1.0, 0.5, 3).z_score, {"value": 2.0}),
    "Estimate.__sub__": lambda: (estimates.Estimate(1.0, 0.5, 3).__sub__, {"other": 2.0}),
    "Estimate.__truediv__": lambda: (estimates.Estimate(1.0, 0.5, 3).__truediv__, {"other": 2.0}),
    "ratio_of_means": lambda: (estimates.ratio_of_means, {"numerators": [1.0, 2.0], "denominators": [2.0, 3.0]}),
    "log_log_slopes": lambda: (estimates.log_log_slopes, {"sizes": [1, 2, 4], "values": [1.0, 3.0, 9.0]}),
    "random_stream": lambda: (randomness.random_stream, {"seed": 3, "name": "weights"}),
    "uniform_on_sphere": lambda: (perturbations.uniform_on_sphere, {"like": normal(4, 3), "generator": stream()}),
    "uniform_in_ball": lambda: (
        perturbations.uniform_in_ball,
        {"like": normal(4, 3), "radius": 0.5, "generator": stream()},
    ),
    "mean_gaussian_length": lambda: (
        gaussians.mean_gaussian_length,
        {"variances": normal(4, 3).square(), "means": normal(4, 3)},
    ),
    "mean_length_of_changes": lambda: (
        gaussians.mean_length_of_changes,
        {
            "means": normal(2, 2, 3),
            "covariances": torch.eye(3).double().repeat(2, 1, 1),
            "generator": stream(),
            "num_directions": 4,
        },
    ),
    "mean_chi": lambda: (exact.mean_chi, {"degrees": 3}),
    "mean_abs_coordinate": lambda: (exact.mean_abs_coordinate, {"dim": 3}),
    "mean_ball_length": lambda: (exact.mean_ball_length, {"dim": 3}),
    "mean_chi_binomial": lambda: (exact.mean_chi_binomial, {"width": 3}),
    "initial_perturbation_stability": lambda: (
        exact.initial_perturbation_stability,
        {"stds": STDS, "architecture": SHAPE, "output_divisor": 2.0},
    ),
    "initial_mean_square_gradient": lambda: (
        exact.initial_mean_square_gradient,
        {"stds": STDS, "architecture": SHAPE, "output_divisor": 2.0},
    ),
    "initial_relative_variance": lambda: (exact.initial_relative_variance, {"architecture": SHAPE}),
    "dead_network_probability": lambda: (exact.dead_network_probability, {"architecture": SHAPE}),
    "mean_leaky_chi": lambda: (exact_variants.mean_leaky_chi, {"width": 3, "slope": 0.5}),
    "leaky_relu_perturbation_stability": lambda: (
        exact_variants.leaky_relu_perturbation_stability,
        {"stds": STDS, "architecture": SHAPE, "slope": 0.5, "output_divisor": 2.0},
    ),
    "mean_residual_growth": lambda: (exact_variants.mean_residual_growth, {"width": 3, "weight_scale": 0.5}),
    "residual_perturbation_stability": lambda: (
        exact_variants.residual_perturbation_stability,
        {"stds": STDS, "architecture": BLOCKS, "branch_scale": 0.5, "output_divisor": 2.0},
    ),
    "residual_mean_square_gradient": lambda: (
        exact_variants.residual_mean_square_gradient,
        {"stds": STDS, "architecture": BLOCKS, "branch_scale": 0.5, "output_divisor": 2.0},
    ),
    "initial_stability_bound": lambda: (
        bounds.initial_stability_bound,
        {"stds": STDS, "architecture": SHAPE, "output_divisor": 2.0},
    ),
    "lazy_rate_hump": lambda: (bounds.lazy_rate_hump, {"architecture": SHAPE}),
    "lazy_rate_peak": lambda: (bounds.lazy_rate_peak, {"depth": 3}),
    "lazy_rate": lambda: (bounds.lazy_rate, {"scheme": "he", "architecture": SHAPE}),
    "homogeneous_lazy_rate": lambda: (bounds.homogeneous_lazy_rate, {"stds": STDS, "architecture": SHAPE}),
    "wu2021_rate": lambda: (bounds.wu2021_rate, {"architecture": SHAPE}),
    "huang2021_rate": lambda: (bounds.huang2021_rate, {"architecture": SHAPE}),
    "non_lazy_rate": lambda: (bounds.non_lazy_rate, {"num_samples": 4, "width": 5, "exponent": 1.5}),
    "non_lazy_threshold": lambda: (bounds.non_lazy_threshold, {"stds": STDS, "architecture": SHAPE}),
    "kernel_profiles": lambda: (
        kernels.kernel_profiles,
        {"cosines": torch.tensor([0.3, 1.0]).double(), "stds": STDS, "architecture": SHAPE, "fixed_masks": True},
    ),
    "lengths_and_cosines": lambda: (kernels.lengths_and_cosines, {"inputs_a": normal(4, 3), "inputs_b": normal(2, 3)}),
    "nngp_kernel": lambda: (
        kernels.nngp_kernel,
        {"inputs_a": normal(4, 3), "inputs_b": normal(2, 3), "stds": STDS, "architecture": SHAPE},
    ),
    "tangent_kernel": lambda: (
        kernels.tangent_kernel,
        {"inputs_a": normal(4, 3), "inputs_b": normal(2, 3), "stds": STDS, "architecture": SHAPE},
    ),
    "ReLUMLP": lambda: (
        models.ReLUMLP,
        {"stds": STDS, "architecture": SHAPE, "output_divisor": 2.0, "num_networks": 2, "generator": stream()},
    ),
    "ReLUMLP.from_weights": lambda: (
        models.ReLUMLP.from_weights,
        {"weights": [normal(4, 3), normal(1, 4)], "output_divisor": 2.0},
    ),
    "antisymmetric": lambda: (models.antisymmetric, {"inner": normal(4, 3), "outer": normal(4)}),
    "lazy_ratio": lambda: (laziness.lazy_ratio, {"initial": network(), "trained": other_network()}),
    "input_weight_movement": lambda: (
        laziness.input_weight_movement,
        {"initial": network(), "trained": other_network()},
    ),
    "kernel_drift": lambda: (
        laziness.kernel_drift,
        {"initial": network(), "trained": other_network(), "x": normal(4, 3)},
    ),
    "empirical_tangent_kernel": lambda: (
        laziness.empirical_tangent_kernel,
        {"model": network(), "inputs_a": normal(4, 3), "inputs_b": normal(2, 3)},
    ),
    "linearized_outputs": lambda: (
        laziness.linearized_outputs,
        {"initial": network(), "train_x": normal(4, 3), "train_y": normal(4), "x": normal(2, 3), **STEP},
    ),
    "linearized_gradients": lambda: (
        laziness.linearized_gradients,
        {"initial": network(), "train_x": normal(4, 3), "train_y": normal(4), "x": normal(2, 3), **STEP},
    ),
    "LazyLimit": lambda: (
        lazy_limit.LazyLimit,
        {"train_x": normal(5, 3), "train_y": normal(5), "stds": STDS, "architecture": SHAPE},
    ),
    "LazyLimit.stable_learning_rate": lambda: (limit().stable_learning_rate, {"factor": 0.5}),
    "LazyLimit.training_loss": lambda: (limit().training_loss, {"training": DESCENT}),
    "LazyLimit.outputs": lambda: (limit().outputs, {"test_x": normal(2, 3) + 1, "training": DESCENT}),
    "LazyLimit.accuracy": lambda: (
        limit().accuracy,
        {"test_x": normal(2, 3) + 1, "test_y": torch.tensor([1.0, -1.0]).double(), "training": DESCENT},
    ),
    "LazyLimit.gradients": lambda: (
        limit().gradients,
        {"test_x": normal(2, 3) + 1, "training": DESCENT, "linearized": True},
    ),
    "LazyLimit.perturbation_stability": lambda: (
        limit().perturbation_stability,
        {"test_x": normal(2, 3) + 1, "training": DESCENT, "generator": None, "linearized": True},
    ),
    "predicted_perturbation_stability": lambda: (
        lazy_limit.predicted_perturbation_stability,
        {
            "train_x": normal(5, 3),
            "train_y": normal(5),
            "test_x": normal(2, 3) + 1,
            "stds": STDS,
            "architecture": SHAPE,
            "training": DESCENT,
        },
    ),
    "LazyLimit.time_of_loss": lambda: (limit().time_of_loss, {"level": 0.3}),
    "Descent": lambda: (lazy_limit.Descent, STEP),
    "Flow": lambda: (lazy_limit.Flow, {"time": 3.0}),
    "train": lambda: (
        training.train,
        {
            "networks": network(num_networks=2),
            "x": normal(6, 3),
            "y": normal(6),
            **STEP,
            "record_at": [1],
            "measure": None,
            "target_loss": 1e-9,
            "batch_size": 4,
            "generator": stream(),
        },
    ),  # fmt: skip
    "follow_gradient_flow": lambda: (
        gradient_flow.follow_gradient_flow,
        {
            "networks": network(num_networks=2),
            "x": normal(6, 3),
            "y": normal(6),
            "levels": [4.0, 3.0],
            "measure": None,
            "tolerance": 0.1,
            "max_steps": 3,
        },
    ),
    "stable_learning_rate": lambda: (
        training.stable_learning_rate,
        {"networks": network(num_networks=2), "x": normal(6, 3), "reference": STDS, "factor": 0.5},
    ),
    "largest_kernel_eigenvalues": lambda: (
        training.largest_kernel_eigenvalues,
        {"networks": network(num_networks=2), "x": normal(6, 3), "num_iterations": 4},
    ),
    "input_jacobians": lambda: (stability.input_jacobians, {"model": network(), "x": normal(4, 3)}),
    "stability_per_input": lambda: (stability.stability_per_input, {"model": network(), "x": normal(4, 3)}),
    "perturbation_stability": lambda: (stability.perturbation_stability, {"model": network(), "x": normal(4, 3)}),
    "perturbation_stability of a module": lambda: (
        stability.perturbation_stability,
        {"model": small_classifier(), "x": normal(4, 1, 3, 3)},
    ),
    "random_direction_stability": lambda: (
        stability.random_direction_stability,
        {"model": network(), "x": normal(4, 3), "generator": stream(), "num_directions": 2},
    ),
    "sampled_perturbation_stability": lambda: (
        stability.sampled_perturbation_stability,
        {"model": network(), "x": normal(4, 3), "radius": 0.5, "num_samples": 2, "generator": stream()},
    ),
    "classifier_report": lambda: (
        reports.classifier_report,
        {
            "model": small_classifier(),
            "data": IMAGES,
            "labels": torch.tensor([0, 2]),
            "radius": 0.5,
            "generator": stream(),
        },
    ),
    "regressor_report": lambda: (
        reports.regressor_report,
        {"model": network(), "data": normal(4, 3), "labels": normal(4), "radius": 0.5, "generator": stream()},
    ),
    "stds_at": lambda: (phase_diagram.stds_at, {"gamma": 1.0, "gamma_prime": 0.5, "width": 4}),
    "networks_at": lambda: (
        phase_diagram.networks_at,
        {"points": [(1.0, 0.5)], "architecture": TWO, "num_networks": 2, "output_divisor": 2.0, "generator": stream()},
    ),
    "trained_on_plane": lambda: (
        phase_diagram.trained_on_plane,
        {
            "points": [(1.0, 0.5)],
            "x": normal(4, 2),
            "y": normal(4),
            "width": 4,
            "num_networks": 2,
            "levels": [0.4, 0.3],
            "output_divisor": 2.0,
            "max_steps": 2,
            "seed": 1,
        },
    ),  # fmt: skip
    "exponents": lambda: (
        phase_diagram.exponents,
        {"initialization": initializations.he, "input_dim": 3, "output_exponent": 0.5},
    ),
    "regime": lambda: (phase_diagram.regime, {"gamma": 1.0, "gamma_prime": 0.5}),
    "slide_condition": lambda: (phase_diagram.slide_condition, {"gamma": 1.0, "gamma_prime": 0.5}),
    "orientations_and_amplitudes": lambda: (phase_diagram.orientations_and_amplitudes, {"model": network(TWO)}),
    "occupied_orientations": lambda: (
        phase_diagram.occupied_orientations,
        {"orientations": normal(4), "amplitudes": normal(4).abs(), "num_bins": 6},
    ),
    "occupied_directions": lambda: (phase_diagram.occupied_directions, {"model": network(TWO)}),
    "random_directions": lambda: (
        random_features.random_directions,
        {"num_features": 4, "input_dim": 3, "generator": stream()},
    ),
    "feature_network": lambda: (random_features.feature_network, {"directions": normal(4, 3), "outer": normal(4)}),
    "minimum_norm_fit": lambda: (
        random_features.minimum_norm_fit,
        {"directions": normal(4, 3), "x": normal(5, 3), "y": normal(5)},
    ),
    "attacked_losses": lambda: (
        random_features.attacked_losses,
        {"model": network(), "x": normal(5, 3), "y": normal(5), "radius": 0.5},
    ),
    "adversarial_fit": lambda: (
        random_features.adversarial_fit,
        {"directions": normal(4, 3), "x": normal(5, 3), "y": normal(5), "radius": 0.5, "ridge": 0.1, "num_steps": 2},
    ),
    "LinfBall": lambda: (attacks.LinfBall, {"radius": 0.5}),
    "L2Ball": lambda: (attacks.L2Ball, {"radius": 0.5}),
    "Masked": lambda: (attacks.Masked, {"ball": attacks.L2Ball(0.5), "mask": torch.ones(3, 3).bool()}),
    "untargeted": lambda: (attacks.untargeted, {"model": small_classifier(), "classes": torch.tensor([0, 2])}),
    "targeted": lambda: (attacks.targeted, {"model": small_classifier(), "targets": torch.tensor([0, 2])}),
    "expected": lambda: (
        attacks.expected,
        {
            "objective": attacks.untargeted(small_classifier(), torch.tensor([0, 2])),
            "transformations": transformations.Transformations(max_angle=10.0),
            "num_transformations": 2,
            "generator": stream(),
        },
    ),
    "attack": lambda: (
        attacks.attack,
        {
            "objective": attacks.untargeted(small_classifier(), torch.tensor([0, 2])),
            "images": IMAGES,
            "within": attacks.LinfBall(0.1),
            "num_steps": 2,
            "num_restarts": 1,
            "pixel_range": (0.0, 1.0),
            "generator": stream(),
        },
    ),  # fmt: skip
    "hit_rate": lambda: (
        attacks.hit_rate,
        {
            "model": small_classifier(),
            "images": IMAGES,
            "classes": torch.tensor([0, 2]),
            "transformations": transformations.Transformations(max_angle=10.0),
            "num_transformations": 2,
            "generator": stream(),
        },
    ),  # fmt: skip
    "initialize_": lambda: (classifiers.initialize_, {"model": small_classifier(), "generator": stream()}),
    "train_classifier": lambda: (
        classifiers.train_classifier,
        {
            "model": small_classifier(),
            "images": IMAGES,
            "classes": torch.tensor([0, 2]),
            "num_epochs": 1,
            "transformations": transformations.Transformations(),
            "generator": stream(),
            "learning_rate": 0.01,
            "batch_size": 2,
        },
    ),  # fmt: skip
    "Transformations": lambda: (
        transformations.Transformations,
        {"max_angle": 10.0, "max_shift": 0.1, "max_scale": 0.1},
    ),
    "Transformations.sample": lambda: (
        transformations.Transformations(max_angle=10.0, max_scale=0.1).sample,
        {"images": IMAGES, "generator": stream()},
    ),
    "move": lambda: (
        transformations.move,
        {"images": IMAGES, "angles": normal(2), "shifts": 0.1 * normal(2, 2), "scales": torch.ones(2).double()},
    ),
}
CHANGES_ITS_MODEL = {"train", "follow_gradient_flow", "initialize_", "train_classifier"}
FUNCTIONS = {"measure", "objective", "initialization"}
NUMBERS = {
    "None": None, "text": "3", "nan": nan, "inf": inf, "minus inf": -inf, "zero": 0, "minus one": -1, "a half": 0.5,
    "huge": 10**30, "tiny": 1e-300, "True": True, "complex": 1j, "numpy integer": np.int64(2), "numpy byte": np.int8(3),
    "numpy float": np.float64(2.0), "numpy float32": np.float32(2.0), "list": [2], "0-d tensor": torch.tensor(2.0),
}  # fmt: skip


def tensors_like(good: torch.Tensor) -> dict[str, object]:
    """Return edge cases of a tensor argument."""
    spoilt = {f"one {value}": good.clone() for value in (nan, inf, -inf)} if good.is_floating_point() else {}
    for value, tensor in zip((nan, inf, -inf), spoilt.values(), strict=False):
        tensor.view(-1)[-1] = value
    return spoilt | {
        "None": None,
        "text": "x",
        "number": 2.0,
        "numpy array": good.numpy(),
        "list": good.tolist(),
        "no rows": good[:0],
        "0-d": good.flatten()[0],
        "one axis more": good.unsqueeze(-1),
        "one row less": good[:-1],
        "twice as many rows": torch.cat([good, good]),
        "integers": good.long(),
        "bool": good > 0,
        "float16": good.half(),
        "bfloat16": good.bfloat16(),
        "float32": good.float(),
        "complex": good.to(torch.complex128),
        "another device": good.to("meta"),
        "huge": good * 10**18,
        "not contiguous": torch.stack([good, good], dim=-1)[..., 0],
        "expanded": good[:1].expand_as(good),
        "requires grad": good.clone().requires_grad_() if good.is_floating_point() else good,
    }


def edge_cases(good: object) -> dict[str, object]:
    """Return what an argument is replaced by."""
    if isinstance(good, torch.Tensor):
        return tensors_like(good)
    return NUMBERS | ({} if isinstance(good, int | float | str) else {"module": nn.Linear(2, 2)})


CASES = [
    pytest.param(call, argument, case, id=f"{call}-{argument}-{case}")
    for call, make in CALLS.items()
    for argument, good in make()[1].items()
    for case in edge_cases(good)
    if not (case == "module" and argument in FUNCTIONS)  # a module can be called
]


def snapshot(arguments: Iterable[object], *, with_models: bool) -> list[object]:
    """Return everything that a call could change and must not."""
    found: list[object] = [torch.get_rng_state().numpy().tobytes(), random.getstate()]
    found += [torch.is_grad_enabled(), torch.get_default_dtype(), np.random.get_state()[1].tobytes()]  # noqa: NPY002
    for value in arguments:
        if isinstance(value, nn.Module):
            found.append([part.training for part in value.modules()])
            if with_models:
                found += [repr(tensor.tolist()) for tensor in value.state_dict().values()]
                found += [(p.requires_grad, p.grad is None) for p in value.parameters()]
        elif isinstance(value, torch.Tensor):
            kept = None if value.is_meta else repr(value.detach().tolist())
            found += [kept, value.dtype, value.requires_grad, value.grad is None, tuple(value.shape)]
        elif not isinstance(value, torch.Generator):
            found.append(repr(value))
    return deepcopy(found)


def is_finite(result: object) -> bool:
    """Return whether every number of a result is finite, but for the documented ones."""
    if isinstance(result, torch.Tensor):
        return bool(torch.isfinite(result).all()) if result.is_floating_point() else True
    if isinstance(result, estimates.Estimate):
        return isfinite(result.mean)
    if isinstance(result, training.TrainingRecord):
        return bool((result.diverged_at >= 0).any()) or all(map(is_finite, result.rows))
    if isinstance(result, gradient_flow.FlowRecord):  # nan: a level that was not reached
        return bool((torch.isfinite(result.time) | torch.isnan(result.time)).all())
    if isinstance(result, dict):
        return all(map(is_finite, result.values()))
    if isinstance(result, list | tuple):
        return all(map(is_finite, result))
    if isinstance(result, nn.Module):
        return all(map(is_finite, result.state_dict().values()))
    if is_dataclass(result) and not isinstance(result, type):
        return all(is_finite(getattr(result, field.name)) for field in fields(result))
    return isfinite(result) if isinstance(result, float) else True


# Rates and laws are infinite where they exceed the largest float: documented.
MAY_BE_INFINITE = {
    *("Descent", "Flow"),  # as long as one likes
    *("initial_perturbation_stability", "initial_mean_square_gradient", "initial_stability_bound"),
    *("leaky_relu_perturbation_stability", "residual_perturbation_stability", "residual_mean_square_gradient"),
}
# What the message of a refusal may call an argument instead of its name: the one it does not fit, or a part of it.
ALSO_CALLED: dict[str, tuple[str, ...]] = {
    "architecture": ("stds",),
    "data": ("x", "labels", "model"),
    "denominators": ("draws",),
    "directions": ("x", "outer"),
    "factor": ("learning_rate",),
    "gamma": ("first", "last"),
    "gamma_prime": ("first", "last"),
    "images": ("model", "classes", "targets", "angles"),
    "initial": ("model", "trained"),
    "inner": ("outer",),
    "inputs_a": ("inputs_b",),
    "learning_rate": ("diverged",),
    "means": ("covariances",),
    "model": ("classes", "labels", "x"),
    "networks": ("model", "x"),
    "numerators": ("draws",),
    "objective": ("images",),
    "orientations": ("amplitudes",),
    "output_divisor": ("learning_rate", "networks", "x"),
    "reference": ("stds",),
    "test_x": ("test_y", "inputs"),
    "train_x": ("train_y", "x", "inputs", "learning_rate"),
    "trained": ("model", "initial"),
    "values": ("sizes",),
    "variances": ("means",),
    "weights": ("weight",),
    "x": ("y", "inputs", "directions", "learning_rate"),
    "y": ("learning_rate",),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("call", "argument", "case"), CASES)
def test_a_right_number_or_a_clear_refusal(as_a_reader, call, argument, case):  # noqa: ARG001
    function, arguments = CALLS[call]()
    arguments = arguments | {argument: edge_cases(arguments[argument])[case]}
    with_models = call not in CHANGES_ITS_MODEL
    before = snapshot(arguments.values(), with_models=with_models)
    try:
        result = function(**arguments)
    except (ValueError, TypeError) as error:
        names = (argument, argument.rstrip("s"), *ALSO_CALLED.get(argument, ()))
        assert any(name in str(error) for name in names), f"not named: {error}"
        assert "Traceback" not in str(error)
    else:
        assert is_finite(result) or call in MAY_BE_INFINITE, result
    assert snapshot(arguments.values(), with_models=with_models) == before


@pytest.mark.parametrize("call", CALLS)
def test_the_good_call_is_good_and_uses_every_argument(call):
    function, arguments = CALLS[call]()
    assert is_finite(function(**arguments))
    wanted = {name for name in signature(function).parameters if name != "loss"}
    assert wanted == set(arguments)


def test_every_public_function_is_tried():
    public = {
        name
        for module in MODULES
        for name, value in vars(module).items()
        if (isfunction(value) or isclass(value)) and not name.startswith("_") and value.__module__ == module.__name__
    }
    tried = {call.split(" of ")[0].split(".")[0] for call in CALLS}
    assert public - INNER - tried == set()
    assert set(tutorial_lib.__all__) <= tried
    assert all(ismodule(module) for module in MODULES)
