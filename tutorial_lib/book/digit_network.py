"""The small network that reads digits in the page, as a torch module: 784 - 40 - 10, trained on MNIST.

Made by ``python -m tools.digit_network FOLDER``. Page and package share its rounded weights.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FILE = Path(__file__).parent / "datasets" / "digit_network.npz"
NEURONS = 40


def digit_network() -> nn.Sequential:
    """Return the network in eval mode and float64: images (batch, 1, 28, 28) or (batch, 784) to ten logits.

    Pixels are from 0 to 1, strokes bright. About 97 percent of MNIST's test images are read rightly: see
    ``digit_network_accuracy``.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, NEURONS), nn.ReLU(), nn.Linear(NEURONS, 10)).double()
    with np.load(FILE) as stored:
        for name, layer in (("first", model[1]), ("last", model[3])):
            layer.weight.data = torch.from_numpy(stored[name].astype(np.float64) * stored[f"{name}_scale"])
            layer.bias.data = torch.from_numpy(stored[f"{name}_bias"])
    return model.eval()


def digit_network_accuracy() -> float:
    """Return the share of MNIST's 10,000 test images that the network reads rightly."""
    with np.load(FILE) as stored:
        return float(stored["accuracy"])


def predicted_digits(images: Tensor) -> Tensor:
    """Return the digit that the network sees in each image."""
    with torch.no_grad():
        logits: Tensor = digit_network()(images.double())
    return logits.argmax(dim=1)
