"""Ordinary image classifiers, biases and Adam included: what chapters attack and measure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from tutorial_lib.arguments import require_at_least, require_instance, require_positive
from tutorial_lib.images.attacks import Images, require_classes, scores_of
from tutorial_lib.images.transformations import Transformations, require_images
from tutorial_lib.progress import progress
from tutorial_lib.tensors import require_generator
from tutorial_lib.training import DivergedError


def initialize_(model: nn.Module, *, generator: Generator) -> None:
    """Draw the weights of linear and convolutional layers from N(0, 2 / fan_in), as He; biases become 0.

    In float64 on the generator's device, then in the dtype and on the device of the layer.
    """
    require_instance(nn.Module, model=model)
    require_generator(generator)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            draws = torch.empty(layer.weight.shape, dtype=torch.float64, device=generator.device)
            layer.weight.data.copy_(nn.init.kaiming_normal_(draws, nonlinearity="relu", generator=generator))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def train_classifier(
    model: nn.Module,
    images: Images,
    classes: Int[Tensor, " batch"],
    *,
    num_epochs: int,
    transformations: Transformations,
    generator: Generator,
    learning_rate: float = 2e-3,
    batch_size: int = 128,
) -> None:
    """Train in place on the cross entropy with Adam, each image under a fresh transformation per epoch.

    ``Transformations()`` leaves the images as they are. The model is trained in training mode, and afterwards
    each of its parts is in the mode it was in; dropout draws from a random state of its own, seeded by the
    generator's seed. Raises ``DivergedError`` with the epoch if the loss ceases to be finite.
    """
    require_at_least(1, num_epochs=num_epochs, batch_size=batch_size)
    require_positive(learning_rate=learning_rate)
    require_images(images=images)
    require_generator(generator)
    require_instance(nn.Module, model=model)
    require_instance(Transformations, transformations=transformations)
    with _in_mode(model, training=False), torch.no_grad():
        require_classes(scores_of(model, images[:1]).expand(len(images), -1), classes=classes)
    images = images.detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    with _in_mode(model, training=True), torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(generator.initial_seed())
        for epoch in progress(range(num_epochs), "training"):
            for rows in torch.split(torch.randperm(len(images), generator=generator), int(batch_size)):
                seen = transformations.sample(images[rows], generator=generator)
                loss = cross_entropy(model(seen), classes[rows])
                if not bool(torch.isfinite(loss)):
                    raise DivergedError(f"learning_rate must be smaller: training diverged in epoch {epoch + 1}")
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch carries no types here
                optimizer.step()


@contextmanager
def _in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put every part of the model in training or eval mode, and back into its own mode at the end."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
