"""Ordinary image classifiers, biases and Adam included: what chapters attack and measure."""

import os

import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from tutorial_lib.arguments import require_at_least, require_positive, require_shape
from tutorial_lib.attacks import Images
from tutorial_lib.transformations import Transformations


def initialize_(model: nn.Module, *, generator: Generator) -> None:
    """Draw the weights of linear and convolutional layers from N(0, 2 / fan_in), as He; biases become 0.

    In float64 on the generator's device, then in the dtype and on the device of the layer.
    """
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

    ``Transformations()`` leaves the images as they are. Raises ``FloatingPointError`` with the epoch if
    the loss ceases to be finite.
    """
    require_at_least(1, num_epochs=num_epochs, batch_size=batch_size)
    require_positive(learning_rate=learning_rate)
    if len(images) == 0:
        raise ValueError("images must hold at least one image, got none")
    require_shape([len(images)], classes=classes.shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    silent = bool(os.environ.get("TQDM_DISABLE"))
    for epoch in tqdm(range(num_epochs), desc="training", delay=1, leave=False, disable=silent):
        for rows in torch.split(torch.randperm(len(images), generator=generator), batch_size):
            seen = transformations.sample(images[rows], generator=generator)
            loss = cross_entropy(model(seen), classes[rows])
            if not bool(torch.isfinite(loss)):
                raise FloatingPointError(f"training diverged in epoch {epoch + 1}: lower learning_rate")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch carries no types here
            optimizer.step()
