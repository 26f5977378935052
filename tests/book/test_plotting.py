"""Figures show the numbers they are given, on the axes they are given, in colours that differ."""

from itertools import combinations
from math import nan

import matplotlib.pyplot as plt
import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from tutorial_lib.book.plotting import (
    COLOUR_OF_SCHEME,
    MARKER_OF_SCHEME,
    NAME_OF_SCHEME,
    STYLE,
    colour_of_width,
    label_ends,
    look_of_scheme,
    plot_bound,
    plot_curve,
    plot_estimates,
    plot_exact,
    plot_images,
    plot_rate,
)
from tutorial_lib.estimates import Estimate
from tutorial_lib.initializations import SCHEMES

X = [16, 64, 256]
ESTIMATES = [Estimate(1.0, 0.1, 9), Estimate(0.5, 0.02, 9), Estimate(0.25, 0.05, 9)]


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_bars_are_two_standard_errors_on_either_side_of_the_mean(ax):
    assert plot_estimates(ax, X, ESTIMATES, label="measured", colour="#D55E00", marker="s") is ax
    (container,) = ax.containers
    (bars,) = container[2]
    np.testing.assert_allclose(container[0].get_xydata(), [[16, 1.0], [64, 0.5], [256, 0.25]])
    ends = [segment[:, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [[0.8, 1.2], [0.46, 0.54], [0.15, 0.35]])
    assert (container.get_label(), container[0].get_marker()) == ("measured", "s")
    assert (container[0].get_linestyle(), to_hex(container[0].get_color()).upper()) == ("None", "#D55E00")


def test_a_single_draw_is_drawn_without_a_bar(ax):
    plot_estimates(ax, [16], [Estimate(1.0, nan, 1)], label="one network", colour="black")
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("plot", "linestyle"), [(plot_exact, "-"), (plot_bound, "--")], ids=["exact solid", "bound dashed"]
)
def test_lines_tell_an_exact_law_from_a_bound(ax, plot, linestyle):
    assert plot(ax, X, [3.0, 2.0, 1.0], label="law", colour="#0072B2") is ax
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[16, 3], [64, 2], [256, 1]])
    assert (line.get_linestyle(), line.get_label(), line.get_color()) == (linestyle, "law", "#0072B2")


def test_a_rate_keeps_its_shape_ends_at_its_pin_and_says_that_it_is_a_rate(ax):
    assert plot_rate(ax, X, [40.0, 20.0, 10.0], through=0.3, label="slide 16", colour="#0072B2") is ax
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[16, 1.2], [64, 0.6], [256, 0.3]])
    assert (line.get_linestyle(), line.get_label()) == (":", "rate: slide 16")


def test_nothing_is_drawn_elsewhere(ax):
    plot_estimates(ax, X, ESTIMATES, label="a", colour="black")
    plot_rate(ax, X, [3.0, 2.0, 1.0], through=1.0, label="b", colour="black")
    assert plt.get_fignums() == []


def test_every_scheme_has_a_colour_a_marker_and_a_name_of_its_own():
    for of_scheme in (COLOUR_OF_SCHEME, MARKER_OF_SCHEME, NAME_OF_SCHEME):
        assert set(of_scheme) == set(SCHEMES)
        assert len(set(of_scheme.values())) == len(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_look_of_a_scheme_is_what_plot_estimates_takes(ax, scheme):
    plot_estimates(ax, X, ESTIMATES, **look_of_scheme(scheme))
    (container,) = ax.containers
    assert container.get_label() == NAME_OF_SCHEME[scheme]
    assert container[0].get_marker() == MARKER_OF_SCHEME[scheme]


# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])


def linear_rgb(colour):
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(linear):
    """CIELAB under D65: a distance of about 2.3 is just noticeable, 15 is plain."""
    ratios = XYZ @ np.clip(linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_the_schemes_differ_for_every_kind_of_colour_vision(vision):
    seen = [lab(np.array(VISION[vision]) @ linear_rgb(colour)) for colour in COLOUR_OF_SCHEME.values()]
    assert all(np.linalg.norm(first - second) > 15 for first, second in combinations(seen, 2))


@pytest.mark.parametrize("colour", COLOUR_OF_SCHEME.values())
def test_lines_have_a_contrast_of_at_least_three_against_the_page(colour):
    luminance = XYZ[1] @ linear_rgb(colour)
    assert 1.05 / (luminance + 0.05) >= 3


def test_figures_are_opaque_and_light_also_on_a_dark_page():
    with matplotlib.style.context(STYLE):
        figure = plt.figure()
        faces = [
            figure.get_facecolor(),
            figure.add_subplot().get_facecolor(),
            to_rgb(plt.rcParams["savefig.facecolor"]),
        ]
        plt.close(figure)
    assert [to_hex(face, keep_alpha=True) for face in faces] == ["#ffffffff"] * 3


def test_images_show_their_pixels_on_one_grey_scale_under_their_titles():
    pale, dark = np.array([[[0.0, 0.1], [0.2, 0.3]]]), np.array([[0.9, 1.0], [0.8, 0.7]])
    axes = list(Figure().subplots(1, 2))
    assert plot_images(axes, [pale, dark], ["says 3", "says 8"]) is axes
    for ax, image, title in zip(axes, [pale[0], dark], ["says 3", "says 8"], strict=True):
        (shown,) = ax.images
        np.testing.assert_array_equal(shown.get_array(), image)
        assert (shown.get_interpolation(), shown.origin, ax.get_title()) == ("nearest", "upper", title)
        greys = shown.to_rgba(np.array([[0.0, 0.5, 1.0]]))[0, :, 0]
        np.testing.assert_allclose(greys, [1.0, 0.5, 0.0], atol=0.02)


def test_each_image_needs_an_axis_and_a_title():
    with pytest.raises(ValueError, match="zip"):
        plot_images(list(Figure().subplots(1, 2)), [np.zeros((2, 2))], ["alone"])


# Curves of one run each, and their names.


def test_a_wider_network_is_darker_and_every_width_can_be_seen_on_the_page():
    colours = [colour_of_width(2**power) for power in range(3, 11)]
    luminances = [XYZ[1] @ linear_rgb(colour) for colour in colours]
    assert luminances == sorted(luminances, reverse=True)
    assert len(set(colours)) == 8
    assert all(1.05 / (luminance + 0.05) >= 3 for luminance in luminances)
    assert colour_of_width(4) == colours[0]
    assert colour_of_width(5000) == colours[-1]
    schemes = [lab(linear_rgb(colour)) for colour in COLOUR_OF_SCHEME.values()]
    assert all(np.linalg.norm(lab(linear_rgb(c)) - other) > 15 for c in colours for other in schemes[:3])


def test_a_curve_joins_its_means_in_a_band_of_two_standard_errors(ax):
    plot_curve(ax, X, ESTIMATES, colour="black")
    (line,), (band,) = ax.lines, ax.collections
    assert line.get_ydata().tolist() == [estimate.mean for estimate in ESTIMATES]
    corners = band.get_paths()[0].vertices[:, 1]
    assert np.isclose(corners.max(), max(e.mean + 2 * e.standard_error for e in ESTIMATES))
    assert np.isclose(corners.min(), min(e.mean - 2 * e.standard_error for e in ESTIMATES))


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("ends", [[0.5, 0.51, 0.52], [0.99, 1.0, 1.0], [0.1, 0.1, 0.9], [0.3]])
def test_names_at_the_ends_of_lines_do_not_hide_each_other(ax, scale, ends):
    ax.set(xlim=(0, 1), ylim=(0.1, 1), yscale=scale)
    names = {str(place): (1.0, y, "black") for place, y in enumerate(ends)}
    label_ends(ax, names, gap=0.06)
    heights = {text.get_text(): text.xy[1] for text in ax.texts}
    order = sorted(names, key=lambda name: (names[name][1], name))
    assert sorted(heights, key=lambda name: heights[name]) == order
    assert all(heights[b] - heights[a] >= 0.06 - 1e-9 for a, b in zip(order, order[1:], strict=False))
    assert all(-0.01 <= height <= 1.01 for height in heights.values())
