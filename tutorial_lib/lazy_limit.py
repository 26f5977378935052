"""Trained networks predicted without training: gradient descent or flow in the limit of large width.

The limit function is f_t = f_0 + Theta(., X) A_t (y - f_0(X)) with A_t = (I - (I - eta Theta / n)^t) / Theta
after t steps, and A_t = (I - exp(-Theta t / n)) / Theta at time t of the flow. Theta is the infinite-width
tangent kernel at width m, and f_0 a Gaussian process with the NNGP kernel K. So this function and its input
gradient are Gaussian, with mean and covariance in closed form. With several outputs each has this law, with
its own labels, and they are independent.

That gradients of trained networks tend to the gradient of the limit function is observed, not proved. For
*linearized* networks it is false: their gradients tend to another law (``linearized=True``). Both are in
chapter 11 and in the statement "linearized gradient"; to our knowledge they are this book's own.
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp, inf, log

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import (
    require_at_least,
    require_instance,
    require_not_negative,
    require_positive,
    require_shape,
)
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import initial_mean_square_gradient, mean_abs_coordinate, mean_ball_length
from tutorial_lib.gaussians import mean_gaussian_length, mean_length_of_changes
from tutorial_lib.initializations import LayerStds, require_stds
from tutorial_lib.kernels import kernel_profiles, lengths_and_cosines
from tutorial_lib.tensors import require_finite, require_generator, require_rows

# Test points handled at once: each takes a matrix of n x d numbers.
_BLOCK_POINTS = 16


@dataclass(frozen=True)
class Descent:
    """Gradient descent: so many steps of one learning rate on the mean loss over training rows.

    ``num_steps`` may be ``math.inf``.
    """

    learning_rate: float
    num_steps: float

    def __post_init__(self) -> None:
        """Check both numbers."""
        require_positive(learning_rate=self.learning_rate)
        if self.num_steps != inf:
            require_at_least(0, num_steps=self.num_steps)  # type: ignore[arg-type]

    @property
    def end(self) -> str:
        """How long it takes, in words."""
        return f"num_steps = {self.num_steps}"

    @property
    def is_endless(self) -> bool:
        """Whether every mode is learnt completely."""
        return self.num_steps == inf

    def require_convergent(self, rates: Float[Tensor, " modes"]) -> None:
        """Raise where an error would grow from step to step."""
        largest = float(rates.max())
        if self.learning_rate * largest >= 2:
            raise ValueError(f"learning_rate must be below {2 / largest:.6g}, got {self.learning_rate}")

    def kept(self, rates: Float[Tensor, " modes"]) -> Float[Tensor, " modes"]:
        """Return (1 - eta rate)^t, what is left of the error in each mode."""
        if self.is_endless:
            return torch.zeros_like(rates)
        kept: Tensor = (1 - self.learning_rate * rates) ** self.num_steps
        return kept

    def learnt_per_rate(self, rates: Float[Tensor, " modes"]) -> Float[Tensor, " modes"]:
        """Return (1 - kept) / rate, which for a rate of 0 is eta t."""
        progress = self.learning_rate * rates
        # 1 - (1 - z)^t without losing the digits of small z.
        slow = -torch.expm1(self.num_steps * torch.log1p(-progress.clamp(max=0.5)))
        learnt = torch.where(progress < 0.5, slow, 1 - self.kept(rates))
        return torch.where(progress > 0, learnt / progress, self.num_steps) * self.learning_rate


@dataclass(frozen=True)
class Flow:
    """Gradient flow for some time: gradient descent of ever smaller steps. ``time`` may be ``math.inf``."""

    time: float

    def __post_init__(self) -> None:
        """Check the time."""
        if self.time != inf:
            require_not_negative(time=self.time)

    @property
    def end(self) -> str:
        """How long it takes, in words."""
        return f"time = {self.time}"

    @property
    def is_endless(self) -> bool:
        """Whether every mode is learnt completely."""
        return self.time == inf

    def require_convergent(self, rates: Float[Tensor, " modes"]) -> None:
        """Do nothing: along a flow no error grows."""

    def kept(self, rates: Float[Tensor, " modes"]) -> Float[Tensor, " modes"]:
        """Return exp(-rate time), what is left of the error in each mode."""
        return torch.zeros_like(rates) if self.is_endless else torch.exp(-rates * self.time)

    def learnt_per_rate(self, rates: Float[Tensor, " modes"]) -> Float[Tensor, " modes"]:
        """Return (1 - kept) / rate, which for a rate of 0 is the time."""
        return torch.where(rates > 0, -torch.expm1(-rates * self.time) / rates, self.time)


class LazyLimit:
    """The law of a network trained by ``Descent`` or ``Flow`` on the mean half square of all rows.

    Costs O(n^3) once for n training points, and O(n^2 d) per test point for the covariance of the
    gradient, d its dimension. All in float64. ``train_y`` has one label per row, or a column for each of two
    or more outputs of the ``architecture``; the loss is then the half square summed over outputs.
    """

    def __init__(
        self,
        train_x: Float[Tensor, "train dim"],
        train_y: Float[Tensor, "train ..."],
        stds: LayerStds,
        architecture: Architecture,
    ) -> None:
        require_rows(train_x=train_x)
        require_stds(stds)
        require_architecture(architecture, input_dim=train_x.shape[1])
        outputs = architecture.output_dim
        require_finite(train_y=train_y)
        require_shape([len(train_x)] if outputs == 1 else [len(train_x), outputs], train_y=train_y.shape)
        self.train_x, self.train_y = train_x.double(), train_y.double()
        self.stds, self.architecture = stds, architecture
        lengths, cosines = lengths_and_cosines(self.train_x, self.train_x)
        self.nngp, tangent = (lengths * profile for profile in self._profiles(cosines))
        if not bool((tangent != 0).any()):
            raise ValueError(f"stds must give a tangent kernel other than 0, got {stds}")
        self.eigenvalues, self.modes = torch.linalg.eigh(tangent)

    def _profiles(
        self, cosines: Float[Tensor, "..."], *, fixed_masks: bool = False
    ) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        return kernel_profiles(cosines, self.stds, self.architecture, fixed_masks=fixed_masks)

    def _require_test_inputs(self, test_x: Tensor) -> None:
        require_rows(test_x=test_x)
        require_shape([len(test_x), self.architecture.input_dim], test_x=test_x.shape)

    def stable_learning_rate(self, factor: float = 0.5) -> float:
        """Return ``factor`` n / (largest eigenvalue of Theta); from factor 2 on the limit diverges."""
        require_positive(factor=factor)
        return factor * len(self.train_x) / float(self.eigenvalues[-1])

    def _rates(self, training: Descent | Flow) -> Float[Tensor, " train"]:
        """What is learnt of each mode per unit of time, lambda / n, if the training makes sense."""
        if not isinstance(training, Descent | Flow):
            raise TypeError(f"training must be Descent(learning_rate, num_steps) or Flow(time), got {training!r}")
        smallest, largest = self.eigenvalues[0].item(), self.eigenvalues[-1].item()
        if training.is_endless and smallest <= len(self.modes) * torch.finfo(torch.float64).eps * largest:
            raise ValueError(f"{training.end} needs an invertible kernel, its smallest eigenvalue is {smallest:.3g}")
        # Rounding can make the zero eigenvalues of a singular kernel negative.
        rates: Tensor = self.eigenvalues.clamp(min=0) / len(self.modes)
        training.require_convergent(rates)
        return rates

    def _inverse_modes(self, training: Descent | Flow) -> Float[Tensor, "train train"]:
        """The matrix A_t, by (1 - remainder) / eigenvalue in each mode."""
        rates = self._rates(training)
        quotients = training.learnt_per_rate(rates) / len(self.modes)
        return torch.mm(self.modes * quotients, self.modes.T)

    @cached_property
    def _start_in_modes(self) -> Float[Tensor, " train"]:
        """The variance of f_0 in each mode: the costly part of a loss, and the same at all times."""
        variances: Tensor = (self.modes.T @ self.nngp @ self.modes).diagonal()
        return variances

    def training_loss(self, training: Descent | Flow) -> float:
        """Return the mean of the half squared error over training points and initial weights."""
        rates = self._rates(training)
        remainders = training.kept(rates)
        labels = self.train_y.reshape(len(remainders), -1)
        bias = (remainders.unsqueeze(1) * (self.modes.T @ labels)).square().sum()
        noise = (remainders**2 * self._start_in_modes).sum()
        return float(bias + labels.shape[1] * noise) / (2 * len(self.train_x))

    def time_of_loss(self, level: float) -> float:
        """Return the time at which the flow's ``training_loss`` has fallen to ``level``; 0 if it starts below."""
        from scipy.optimize import brentq  # takes long to load, and nothing else here needs it

        require_positive(level=level)
        if self.training_loss(Flow(0.0)) <= level:
            return 0.0
        # A time by which even the slowest mode has been learnt, if the level can be reached at all.
        slowest = self.eigenvalues[self.eigenvalues > self.eigenvalues[-1] * 1e-15][0].item() / len(self.modes)
        latest = 40 / slowest
        if self.training_loss(Flow(latest)) > level:
            raise ValueError(f"level must be above the loss that is left at the end, got {level}")
        found = brentq(lambda log_time: log(self.training_loss(Flow(exp(log_time))) / level), -40, log(latest))
        return exp(found)

    def outputs(
        self, test_x: Float[Tensor, "test dim"], training: Descent | Flow
    ) -> tuple[Float[Tensor, "test ..."], Float[Tensor, " test"]]:
        """Return mean (a column for each of several outputs) and variance over the initial weights of f_t."""
        self._require_test_inputs(test_x)
        lengths, cosines = lengths_and_cosines(test_x.double(), self.train_x)
        by_nngp, by_ntk = (lengths * profile for profile in self._profiles(cosines))
        learnt = by_ntk @ self._inverse_modes(training)
        start = test_x.double().square().sum(dim=1) * self._profiles(torch.ones_like(cosines[:, 0]))[0]
        variances = start - 2 * (learnt * by_nngp).sum(dim=1) + ((learnt @ self.nngp) * learnt).sum(dim=1)
        return learnt @ self.train_y, variances.clamp(min=0)

    def accuracy(
        self,
        test_x: Float[Tensor, "test dim"],
        test_y: Float[Tensor, " test"],
        training: Descent | Flow,
    ) -> float:
        """Return the mean probability that the trained output has the sign of the label (+1 or -1)."""
        require_architecture(self.architecture, output_dim=1)
        self._require_test_inputs(test_x)
        require_finite(test_y=test_y)
        require_shape([len(test_x)], test_y=test_y.shape)
        if not bool((test_y.abs() == 1).all()):
            raise ValueError(f"test_y must be +1 or -1, got labels from {test_y.min():g} to {test_y.max():g}")
        means, variances = self.outputs(test_x, training)
        margins = test_y.double() * means / variances.sqrt()
        return float(torch.special.ndtr(margins).mean())

    def _kernel_jacobians(
        self, points: Float[Tensor, "points dim"], *, fixed_masks: bool
    ) -> tuple[Float[Tensor, "points train dim"], Float[Tensor, "points train dim"]]:
        """Derivatives by x of K(x, X) and Theta(x, X).

        With profile k of the cosine c, d/dx |x||x'| k(c) = x/|x| |x'| (k - c k') + k' x'.
        """
        _, cosines = lengths_and_cosines(points, self.train_x)
        if bool((cosines.abs() > 1 - 1e-14).any()):
            raise ValueError("test_x must not hold a multiple of a row of train_x: the kernel has a kink there")
        cosines = cosines.requires_grad_()
        directions = points / points.norm(dim=1, keepdim=True)
        with torch.enable_grad():
            profiles = self._profiles(cosines, fixed_masks=fixed_masks)
        jacobians = []
        for profile in profiles:
            (slopes,) = torch.autograd.grad(profile.sum(), cosines, retain_graph=True)
            along = (profile.detach() - cosines.detach() * slopes) * self.train_x.norm(dim=1)
            jacobians.append(along.unsqueeze(2) * directions.unsqueeze(1) + slopes.unsqueeze(2) * self.train_x)
        return jacobians[0], jacobians[1]

    def gradients(
        self, test_x: Float[Tensor, "test dim"], training: Descent | Flow, *, linearized: bool = False
    ) -> tuple[Float[Tensor, "test ... dim"], Float[Tensor, "test dim dim"]]:
        r"""Return mean and covariance over the initial weights of the trained input gradient.

        .. math:: J_\Theta^\top A_t y,\quad c_0 I + J_\Theta^\top A_t K A_t^\top J_\Theta
                  - J_K^\top A_t^\top J_\Theta - (J_K^\top A_t^\top J_\Theta)^\top

        J are the Jacobians of Theta(x, X) and K(x, X) in x; c_0 d is the mean square gradient before
        training. Several outputs have a row of means each, and share the covariance.

        ``linearized``: of the gradients that linearized networks have almost everywhere. J_Theta then lacks the
        part of Theta's derivative that comes from masks that switch with x; see ``laziness.linearized_gradients``.
        """
        self._require_test_inputs(test_x)
        require_instance(bool, linearized=linearized)
        dim = test_x.shape[1]
        inverse = self._inverse_modes(training)
        square = initial_mean_square_gradient(self.stds, self.architecture.replace(output_dim=1))
        before = square / dim * torch.eye(dim, dtype=torch.float64)
        means, covariances = [], []
        for points in torch.split(test_x.double(), _BLOCK_POINTS):
            by_nngp, by_ntk = self._kernel_jacobians(points, fixed_masks=linearized)
            learnt = inverse @ by_ntk
            crossed = by_nngp.mT @ learnt
            mean = learnt.mT @ self.train_y
            means.append(mean if mean.ndim == 2 else mean.mT)
            covariances.append(before + learnt.mT @ (self.nngp @ learnt) - crossed - crossed.mT)
        return torch.cat(means), torch.cat(covariances)

    def perturbation_stability(
        self,
        test_x: Float[Tensor, "test dim"],
        training: Descent | Flow,
        *,
        generator: Generator | None = None,
        linearized: bool = False,
    ) -> Estimate:
        """Return what ``predicted_perturbation_stability`` returns, or its like for ``linearized`` networks.

        Several outputs need a ``generator`` for directions; their part of the error is in it.
        """
        means, covariances = self.gradients(test_x, training, linearized=linearized)
        dim = test_x.shape[1]
        if means.ndim == 3:
            lengths = mean_length_of_changes(means, covariances, generator=require_generator(generator))
            return Estimate.from_draws((lengths * mean_ball_length(dim)).tolist())
        variances, axes = torch.linalg.eigh(covariances)
        rotated = (axes.mT @ means.unsqueeze(2)).squeeze(2)
        lengths = mean_gaussian_length(variances.clamp(min=0), rotated)
        return Estimate.from_draws((mean_abs_coordinate(dim) * lengths).tolist())


def predicted_perturbation_stability(
    train_x: Float[Tensor, "train dim"],
    train_y: Float[Tensor, " train"],
    test_x: Float[Tensor, "test dim"],
    stds: LayerStds,
    architecture: Architecture,
    training: Descent | Flow,
) -> Estimate:
    r"""Predict P / radius at ``test_x`` after training by gradient descent or flow, without training.

    P / radius = c_d E||g||, g ~ N(mean, covariance) of ``LazyLimit.gradients``: an integral, nothing
    is sampled. The mean is over initial weights; the error is that of the mean over test points, and
    none if these points are all you ask about.
    """
    require_architecture(architecture, output_dim=1)
    limit = LazyLimit(train_x, train_y, stds, architecture)
    return limit.perturbation_stability(test_x, training)
