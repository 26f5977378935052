"""Four small classifiers of 28 x 28 images, with the weights that PyTorch draws: such as a reader may have."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import unfold

from tutorial_lib.arguments import require_member
from tutorial_lib.tensors import require_generator

Grey = Float[Tensor, "batch 1 28 28"]
Logits = Float[Tensor, "batch 10"]


def _mlp() -> nn.Module:
    """One hidden layer of 64 neurons."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


def _cnn() -> nn.Module:
    """Two convolutions with stride 2: max pooling would put the empty background of a digit at a kink."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(784, 10),
    )


class _Block(nn.Module):
    """x + branch(x): two convolutions with batch normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return torch.relu(x + self.branch(x))


def _resnet() -> nn.Module:
    """Two residual blocks on 7 x 7 patches, a convolution without overlap below them."""
    stem = nn.Conv2d(1, 16, 4, stride=4)
    return nn.Sequential(stem, nn.ReLU(), _Block(16), _Block(16), nn.Flatten(), nn.Linear(784, 10))


class _Transformer(nn.Module):
    """Two layers of attention with four heads over the 16 patches of 7 x 7 pixels; the mean over patches answers."""

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        self.patches = nn.Linear(49, features)
        self.places = nn.Parameter(0.1 * torch.randn(16, features))
        layers = (
            nn.TransformerEncoderLayer(
                features, 4, 2 * features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(features, 10)

    def forward(self, x: Grey) -> Logits:
        tokens = self.patches(unfold(x, 7, stride=7).transpose(1, 2)) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        logits: Tensor = self.head(tokens.mean(dim=1))
        return logits


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "MLP": _mlp,
    "CNN": _cnn,
    "ResNet": _resnet,
    "transformer": _Transformer,
}


def new_network(kind: str, *, generator: Generator) -> nn.Module:
    """Return an untrained network of one of the ``NETWORKS``, in float64 and eval mode.

    The weights are PyTorch's own draws from a random state of their own, seeded by the generator's seed.
    """
    require_member(NETWORKS, kind=kind)
    require_generator(generator)
    with torch.random.fork_rng():
        torch.manual_seed(generator.initial_seed())
        return NETWORKS[kind]().double().eval()
