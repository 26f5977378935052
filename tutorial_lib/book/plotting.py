"""Figures from numbers: one colour, marker and name per scheme, one look per kind of formula.

``plt.style.use("tutorial_lib.book.style")`` sets the look of the book. Measured points carry bars of
two standard errors; an exact law is a solid line, a bound dashed, a rate dotted.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log2

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from tutorial_lib.estimates import Estimate

STYLE = "tutorial_lib.book.style"
COLOUR_OF_SCHEME: Mapping[str, str] = {"lecun": "#0072B2", "he": "#D55E00", "ntk": "#009E73", "mup": "#000000"}
MARKER_OF_SCHEME: Mapping[str, str] = {"lecun": "o", "he": "s", "ntk": "^", "mup": "D"}
NAME_OF_SCHEME: Mapping[str, str] = {"lecun": "LeCun", "he": "He", "ntk": "NTK", "mup": "muP"}


def look_of_scheme(scheme: str) -> dict[str, str]:
    """Return label, colour and marker of a scheme, as ``plot_estimates`` takes them."""
    return {
        "label": NAME_OF_SCHEME[scheme],
        "colour": COLOUR_OF_SCHEME[scheme],
        "marker": MARKER_OF_SCHEME[scheme],
    }


def plot_estimates(
    ax: Axes,
    x: Sequence[float],
    estimates: Sequence[Estimate],
    *,
    label: str,
    colour: str,
    marker: str = "o",
) -> Axes:
    """Means with bars of two standard errors, not joined."""
    means = [estimate.mean for estimate in estimates]
    bars = [2 * estimate.standard_error for estimate in estimates]
    ax.errorbar(x, means, yerr=bars, fmt=marker, color=colour, label=label)
    return ax


def plot_exact(ax: Axes, x: Sequence[float], values: Sequence[float], *, label: str, colour: str) -> Axes:
    """Solid line: an exact law."""
    ax.plot(x, values, "-", color=colour, label=label)
    return ax


def plot_bound(ax: Axes, x: Sequence[float], values: Sequence[float], *, label: str, colour: str) -> Axes:
    """Dashed line: a true inequality with its constant."""
    ax.plot(x, values, "--", color=colour, label=label)
    return ax


def plot_rate(
    ax: Axes,
    x: Sequence[float],
    values: Sequence[float],
    *,
    through: float,
    label: str,
    colour: str,
) -> Axes:
    """Dotted line: a rate, scaled so that it ends at the value ``through``.

    A rate has no absolute value; pinning its last point to a known value shows its shape.
    """
    rates = np.asarray(values)
    ax.plot(x, rates * (through / rates[-1]), ":", color=colour, label=f"rate: {label}")
    return ax


def colour_of_width(width: int) -> str:
    """Return the colour of a width, lighter for narrower: one ladder, of no scheme's colour, from 8 to 1024."""
    rung = min(max((log2(width) - 3) / 7, 0.0), 1.0)
    return to_hex(colormaps["BuPu"](0.58 + 0.42 * rung))


def plot_curve(
    ax: Axes, x: Sequence[float], estimates: Sequence[Estimate], *, colour: str, style: str = "-", marker: str = "o"
) -> Axes:
    """Joined means in a band of two standard errors: measurements along one run."""
    means = np.array([estimate.mean for estimate in estimates])
    errors = 2 * np.array([estimate.standard_error for estimate in estimates])
    ax.plot(x, means, linestyle=style, marker=marker, markersize=5, color=colour)
    ax.fill_between(x, means - errors, means + errors, color=colour, alpha=0.18, linewidth=0)
    return ax


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, float, str]], *, gap: float = 0.055) -> Axes:
    """Write a name beside the end of each line, moved apart so that none hides another.

    ``ends`` maps a name to the end's x, y and colour; ``gap`` is the least distance, in heights of the axes. Call it
    last: it uses the limits as they are.
    """
    inverse = ax.transAxes.inverted()
    places = {name: float(inverse.transform(ax.transData.transform((x, y)))[1]) for name, (x, y, _) in ends.items()}
    order = sorted(places, key=lambda name: places[name])
    for below, above in zip(order, order[1:], strict=False):
        places[above] = max(places[above], places[below] + gap)
    excess = max(0.0, places[order[-1]] - 1.0) if order else 0.0
    for name in reversed(order):
        places[name] -= excess
    for below, above in zip(order[::-1][1:], order[::-1], strict=False):
        places[below] = min(places[below], places[above] - gap)
    for name, (_, _, colour) in ends.items():
        ax.annotate(
            name,
            (1.0, places[name]),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )
    return ax


def plot_images(axes: Sequence[Axes], images: Iterable[npt.ArrayLike], titles: Iterable[str]) -> Sequence[Axes]:
    """Grey images, 0 white and 1 black on every axis alike, pixels as squares, a large title above each."""
    for ax, image, title in zip(axes, images, titles, strict=True):
        ax.imshow(np.squeeze(np.asarray(image)), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=19)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    return axes
