"""Train the small network that reads digits in the page: `python -m tools.digit_network FOLDER`.

FOLDER holds the four files in which LeCun, Cortes and Burges published MNIST, unpacked, as for tools.bundled_mnist.
Weights are rounded to a byte each, which page and package share, so that both compute the same. The accuracy on the
10,000 test images is kept with them.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tools.bundled_mnist import read
from tools.checksums import record
from tutorial_lib.book.digit_network import FILE, NEURONS
from tutorial_lib.progress import progress
from tutorial_lib.randomness import random_stream

EPOCHS, BATCH, LARGEST_SHIFT, NOISE = 16, 256, 2, 0.2


def images_and_classes(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return the images of a part, pixels from 0 to 1, and their classes."""
    pixels = torch.tensor(read(folder / f"{part}-images-idx3-ubyte", 16)).float() / 255
    return pixels.reshape(-1, 28, 28), torch.tensor(read(folder / f"{part}-labels-idx1-ubyte", 8)).long()


def shifted(images: Tensor, stream: torch.Generator) -> Tensor:
    """Move a batch of images by up to two pixels: what is drawn by hand does not sit in the middle."""
    down, right = torch.randint(-LARGEST_SHIFT, LARGEST_SHIFT + 1, (2,), generator=stream).tolist()
    return images.roll((down, right), dims=(1, 2))


def noisy(images: Tensor, stream: torch.Generator) -> Tensor:
    """Move every pixel up or down by one amount, by the toss of a coin: this kind of change shall not fool it."""
    size = NOISE * torch.rand((), generator=stream)
    coins = 2.0 * torch.randint(2, images.shape, generator=stream) - 1
    return (images + size * coins).clamp(0, 1)


def trained(images: Tensor, classes: Tensor) -> nn.Sequential:
    """Train 784 - 40 - 10 with Adam on the cross-entropy; half of the batches shifted, half of them noisy."""
    stream = random_stream(0, "digit network")
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, NEURONS), nn.ReLU(), nn.Linear(NEURONS, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            draws = torch.randn(parameter.shape, generator=stream)
            parameter.copy_(draws * (2 / parameter.shape[-1]) ** 0.5 if parameter.ndim == 2 else 0 * draws)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in progress(range(EPOCHS), "training"):
        for place, rows in enumerate(torch.split(torch.randperm(len(images), generator=stream), BATCH)):
            seen = shifted(images[rows], stream) if place % 2 else images[rows]
            seen = noisy(seen, stream) if place % 4 > 1 else seen
            optimizer.zero_grad()
            cross_entropy(model(seen), classes[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()
    return model.eval()


def main(folder: Path) -> None:
    """Train, round, measure, write."""
    model = trained(*images_and_classes(folder, "train"))
    stored: dict[str, object] = {}
    for name, layer in (("first", model[1]), ("last", model[3])):
        weight = layer.weight.detach()
        scale = weight.abs().max().item() / 127
        stored[name] = torch.round(weight / scale).to(torch.int8).numpy()
        stored[f"{name}_scale"] = np.float64(scale)
        stored[f"{name}_bias"] = layer.bias.detach().double().numpy().round(4)
        layer.weight.data = torch.tensor(stored[name]).float() * scale
    images, classes = images_and_classes(folder, "t10k")
    stored["accuracy"] = np.float64((model(images).argmax(dim=1) == classes).double().mean().item())
    np.savez_compressed(FILE, **stored)  # type: ignore[arg-type]
    record(FILE)
    print(f"{stored['accuracy']:.2%} of the 10,000 test images are read rightly; in {FILE.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
