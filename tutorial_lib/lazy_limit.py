"""Trained networks predicted without training: gradient descent in the limit of large width.

In that limit f_t = f_0 + Theta(., X) A_t (y - f_0(X)) with A_t = (I - (I - eta Theta / n)^t) / Theta,
Theta the infinite-width tangent kernel at width m and f_0 a Gaussian process with the NNGP kernel K.
So f_t and its input gradient are Gaussian, with mean and covariance in closed form. With several
outputs each has this law, with its own labels, and they are independent.
The derivation is in chapter 11; to our knowledge it is this book's own.
"""

from math import inf

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_positive, require_shape
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import initial_mean_square_gradient, mean_abs_coordinate, mean_ball_length
from tutorial_lib.gaussians import mean_gaussian_length, mean_length_of_changes
from tutorial_lib.initializations import LayerStds, require_stds
from tutorial_lib.kernels import kernel_profiles, lengths_and_cosines
from tutorial_lib.tensors import require_finite, require_generator, require_rows

# Test points handled at once: each takes a matrix of n x d numbers.
_BLOCK_POINTS = 16


class LazyLimit:
    """The law of a network trained by full-batch gradient descent on the mean half square.

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

    def _profiles(self, cosines: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        return kernel_profiles(cosines, self.stds, self.architecture)

    def _require_test_inputs(self, test_x: Tensor) -> None:
        require_rows(test_x=test_x)
        require_shape([len(test_x), self.architecture.input_dim], test_x=test_x.shape)

    def stable_learning_rate(self, factor: float = 0.5) -> float:
        """Return ``factor`` n / (largest eigenvalue of Theta); from factor 2 on the limit diverges."""
        require_positive(factor=factor)
        return factor * len(self.train_x) / float(self.eigenvalues[-1])

    def _progress(self, learning_rate: float, num_steps: float) -> Float[Tensor, " train"]:
        """What one step learns of each mode, eta lambda / n, if the settings make sense."""
        require_positive(learning_rate=learning_rate)
        smallest, largest = self.eigenvalues[0].item(), self.eigenvalues[-1].item()
        if num_steps != inf:
            require_at_least(0, num_steps=num_steps)  # type: ignore[arg-type]
        elif smallest <= len(self.modes) * torch.finfo(torch.float64).eps * largest:
            raise ValueError(f"num_steps = inf needs an invertible kernel, its smallest eigenvalue is {smallest:.3g}")
        if learning_rate * largest / len(self.modes) >= 2:
            raise ValueError(f"learning_rate must be below {2 * len(self.modes) / largest:.6g}, got {learning_rate}")
        # Rounding can make the zero eigenvalues of a singular kernel negative.
        progress: Tensor = self.eigenvalues.clamp(min=0) * (learning_rate / len(self.modes))
        return progress

    def remainders(self, learning_rate: float, num_steps: float) -> Float[Tensor, " train"]:
        """Return (1 - eta lambda / n)^t, what t steps leave of the error in each mode; t may be inf."""
        progress = self._progress(learning_rate, num_steps)
        kept: Tensor = (1 - progress) ** num_steps if num_steps != inf else torch.zeros_like(progress)
        return kept

    def _inverse_modes(self, learning_rate: float, num_steps: float) -> Float[Tensor, "train train"]:
        """The matrix A_t, by (1 - remainder) / eigenvalue in each mode."""
        progress = self._progress(learning_rate, num_steps)
        # 1 - (1 - z)^t without losing the digits of small z; for z = 0 the quotient is t.
        slow = -torch.expm1(num_steps * torch.log1p(-progress.clamp(max=0.5)))
        learnt = torch.where(progress < 0.5, slow, 1 - self.remainders(learning_rate, num_steps))
        quotients = torch.where(progress > 0, learnt / progress, num_steps) * (learning_rate / len(self.modes))
        return torch.mm(self.modes * quotients, self.modes.T)

    def training_loss(self, *, learning_rate: float, num_steps: float) -> float:
        """Return the mean of the half squared error over training points and initial weights."""
        remainders = self.remainders(learning_rate, num_steps)
        labels = self.train_y.reshape(len(remainders), -1)
        bias = (remainders.unsqueeze(1) * (self.modes.T @ labels)).square().sum()
        noise = (remainders**2 * (self.modes.T @ self.nngp @ self.modes).diagonal()).sum()
        return float(bias + labels.shape[1] * noise) / (2 * len(self.train_x))

    def outputs(
        self, test_x: Float[Tensor, "test dim"], *, learning_rate: float, num_steps: float
    ) -> tuple[Float[Tensor, "test ..."], Float[Tensor, " test"]]:
        """Return mean (a column for each of several outputs) and variance over the initial weights of f_t."""
        self._require_test_inputs(test_x)
        lengths, cosines = lengths_and_cosines(test_x.double(), self.train_x)
        by_nngp, by_ntk = (lengths * profile for profile in self._profiles(cosines))
        learnt = by_ntk @ self._inverse_modes(learning_rate, num_steps)
        start = test_x.double().square().sum(dim=1) * self._profiles(torch.ones_like(cosines[:, 0]))[0]
        variances = start - 2 * (learnt * by_nngp).sum(dim=1) + ((learnt @ self.nngp) * learnt).sum(dim=1)
        return learnt @ self.train_y, variances.clamp(min=0)

    def accuracy(
        self,
        test_x: Float[Tensor, "test dim"],
        test_y: Float[Tensor, " test"],
        *,
        learning_rate: float,
        num_steps: float,
    ) -> float:
        """Return the mean probability that the trained output has the sign of the label (+1 or -1)."""
        require_architecture(self.architecture, output_dim=1)
        self._require_test_inputs(test_x)
        require_finite(test_y=test_y)
        require_shape([len(test_x)], test_y=test_y.shape)
        if not bool((test_y.abs() == 1).all()):
            raise ValueError(f"test_y must be +1 or -1, got labels from {test_y.min():g} to {test_y.max():g}")
        means, variances = self.outputs(test_x, learning_rate=learning_rate, num_steps=num_steps)
        margins = test_y.double() * means / variances.sqrt()
        return float(torch.special.ndtr(margins).mean())

    def _kernel_jacobians(
        self, points: Float[Tensor, "points dim"]
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
            profiles = self._profiles(cosines)
        jacobians = []
        for profile in profiles:
            (slopes,) = torch.autograd.grad(profile.sum(), cosines, retain_graph=True)
            along = (profile.detach() - cosines.detach() * slopes) * self.train_x.norm(dim=1)
            jacobians.append(along.unsqueeze(2) * directions.unsqueeze(1) + slopes.unsqueeze(2) * self.train_x)
        return jacobians[0], jacobians[1]

    def gradients(
        self, test_x: Float[Tensor, "test dim"], *, learning_rate: float, num_steps: float
    ) -> tuple[Float[Tensor, "test ... dim"], Float[Tensor, "test dim dim"]]:
        r"""Return mean and covariance over the initial weights of the trained input gradient.

        .. math:: J_\Theta^\top A_t y,\quad c_0 I + J_\Theta^\top A_t K A_t^\top J_\Theta
                  - J_K^\top A_t^\top J_\Theta - (J_K^\top A_t^\top J_\Theta)^\top

        J are the Jacobians of Theta(x, X) and K(x, X) in x; c_0 d is the mean square gradient before
        training. Several outputs have a row of means each, and share the covariance.
        """
        self._require_test_inputs(test_x)
        dim = test_x.shape[1]
        inverse = self._inverse_modes(learning_rate, num_steps)
        square = initial_mean_square_gradient(self.stds, self.architecture.replace(output_dim=1))
        before = square / dim * torch.eye(dim, dtype=torch.float64)
        means, covariances = [], []
        for points in torch.split(test_x.double(), _BLOCK_POINTS):
            by_nngp, by_ntk = self._kernel_jacobians(points)
            learnt = inverse @ by_ntk
            crossed = by_nngp.mT @ learnt
            mean = learnt.mT @ self.train_y
            means.append(mean if mean.ndim == 2 else mean.mT)
            covariances.append(before + learnt.mT @ (self.nngp @ learnt) - crossed - crossed.mT)
        return torch.cat(means), torch.cat(covariances)

    def perturbation_stability(
        self,
        test_x: Float[Tensor, "test dim"],
        *,
        learning_rate: float,
        num_steps: float,
        generator: Generator | None = None,
    ) -> Estimate:
        """Return what ``predicted_perturbation_stability`` returns.

        Several outputs need a ``generator`` for directions; their part of the error is in it.
        """
        means, covariances = self.gradients(test_x, learning_rate=learning_rate, num_steps=num_steps)
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
    *,
    learning_rate: float,
    num_steps: float,
) -> Estimate:
    r"""Predict P / radius at ``test_x`` after ``num_steps`` of gradient descent, without training.

    P / radius = c_d E||g||, g ~ N(mean, covariance) of ``LazyLimit.gradients``: an integral, nothing
    is sampled. The mean is over initial weights; the error is that of the mean over test points, and
    none if these points are all you ask about. ``num_steps`` may be ``math.inf``.
    """
    require_architecture(architecture, output_dim=1)
    limit = LazyLimit(train_x, train_y, stds, architecture)
    return limit.perturbation_stability(test_x, learning_rate=learning_rate, num_steps=num_steps)
