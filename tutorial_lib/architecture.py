"""``Architecture``: the sizes of a fully connected network, as one value."""

from dataclasses import dataclass, replace

from tutorial_lib.arguments import require_at_least, require_depth


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a fully connected network without biases, whose hidden layers all have the same width.

    ``depth`` is L, the number of weight matrices: depth 2 has one hidden layer. W_1 has shape
    (width, input_dim), W_2 ... W_{L-1} have (width, width), and W_L has (output_dim, width).

    >>> shape = Architecture(input_dim=64, width=256, depth=4)
    >>> shape.replace(width=512)
    Architecture(input_dim=64, width=512, depth=4, output_dim=1)
    """

    input_dim: int
    width: int
    depth: int
    output_dim: int = 1

    def __post_init__(self) -> None:
        """Refuse sizes that no network has; keep Python's own integers, which do not overflow."""
        require_at_least(1, input_dim=self.input_dim, width=self.width, output_dim=self.output_dim)
        require_depth(self.depth)
        for name, size in vars(self).items():
            object.__setattr__(self, name, int(size))

    def replace(self, **sizes: int) -> "Architecture":
        """Return the same architecture with other values for the sizes named."""
        unknown = sorted(set(sizes) - set(vars(self)))
        if unknown:
            raise ValueError(f"sizes must be among {', '.join(vars(self))}, got {', '.join(unknown)}")
        return replace(self, **sizes)

    @property
    def layer_sizes(self) -> list[int]:
        """Number of coordinates at the input, in each hidden layer, and at the output."""
        return [self.input_dim, *[self.width] * (self.depth - 1), self.output_dim]


def require_architecture(architecture: Architecture, **needed: int) -> None:
    """Raise unless ``architecture`` is one, and has the sizes that are ``needed``, such as ``output_dim=1``."""
    if not isinstance(architecture, Architecture):
        raise TypeError(f"architecture must be an Architecture, got {architecture!r}")
    for name, size in needed.items():
        if getattr(architecture, name) != size:
            raise ValueError(f"architecture must have {name} {size} here, got {architecture}")
