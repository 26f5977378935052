"""Pictures: what does not decode, another figure and frames in another order are seen; a few pixels are not."""

import base64
import json
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from tests.pictures import difference, flaws, pictures
from tools.repository import notebook_paths


def drawn(height):
    fig, ax = plt.subplots(figsize=(5, 3))
    ax.plot([0, 1, 2], [0, height, 1])
    ax.set(ylim=(0, 2))
    file = BytesIO()
    fig.savefig(file, format="png")
    plt.close(fig)
    return file.getvalue()


def noisy(picture):
    """The same picture as another processor might draw it: one level in every fifth pixel."""
    with Image.open(BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    pixels[::5] = np.clip(pixels[::5] - 1, 0, 255)
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="png")
    return file.getvalue()


def as_outputs(*frames):
    text = [base64.b64encode(frame).decode() for frame in frames]
    html = "".join(f'<img src="data:image/png;base64,{one}">' for one in text[1:])
    return [{"data": {"image/png": text[0]}}, {"output_type": "stream"}, {"data": {"text/html": [html]}}]


def test_figures_and_frames_are_found_in_their_order():
    frames = [drawn(height) for height in (0.5, 1, 1.5)]
    assert pictures(as_outputs(*frames)) == frames


def test_the_same_picture_passes_and_a_few_pixels_do_not_matter():
    assert difference([drawn(1)], [drawn(1)]) is None
    assert drawn(1) != noisy(drawn(1)) and difference([drawn(1)], [noisy(drawn(1))]) is None


@pytest.mark.parametrize("height", [0.97, 1.03, 1.5])
def test_a_curve_that_has_moved_is_seen(height):
    assert "picture 1 looks different" in difference([drawn(1)], [drawn(height)])


def test_frames_in_another_order_are_seen():
    frames = [drawn(height) for height in (0.5, 1, 1.5)]
    assert "picture 2 looks different" in difference(frames, [frames[0], frames[2], frames[1]])


def test_a_cut_picture_and_a_missing_one_are_seen():
    assert "picture 1 does not decode" in difference([drawn(1)[:18]], [drawn(1)])
    assert "picture 1 does not decode" in difference([drawn(1)[:900]], [drawn(1)])
    assert difference([drawn(1)], []) == "0 pictures are drawn, 1 are stored"


def figure(picture, size="<Figure size 500x300 with 1 Axes>"):
    return {"data": {"image/png": base64.b64encode(picture).decode(), "text/plain": [size]}}


def plain(size, colour="white"):
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, format="png")
    return file.getvalue()


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_every_stored_picture_decodes_shows_something_and_is_as_large_as_it_says(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [flaw for cell in cells for output in cell.get("outputs", []) for flaw in flaws(output)] == []


def test_a_good_figure_and_a_good_flipbook_have_no_flaws():
    assert flaws(figure(drawn(1))) == []
    assert flaws(as_outputs(drawn(1), drawn(0.5), drawn(1.5))[2]) == []


@pytest.mark.parametrize("length", [0, 18, 900])
def test_a_picture_cut_short_has_a_flaw(length):
    assert "picture 1 does not decode" in flaws(figure(drawn(1)[:length]))[0]
    assert "picture 2 does not decode" in flaws(as_outputs(drawn(1), drawn(1), drawn(1)[:length])[2])[0]


def test_a_blank_picture_has_a_flaw():
    assert flaws(figure(plain((500, 300)))) == ["picture 1 is blank"]


def test_a_picture_of_another_size_has_a_flaw():
    assert flaws(figure(plain((1, 1)))) == [
        "picture 1 is blank",
        "a picture has 1 x 1 pixels instead of about 500 x 300",
    ]
    assert flaws(figure(drawn(1), "<Figure size 900x300 with 1 Axes>")) == [
        "a picture has 500 x 300 pixels instead of about 900 x 300"
    ]
    # A frame says no size: it has that of the first.
    small = plain((1, 1))
    assert "a picture has 1 x 1 pixels" in flaws(as_outputs(drawn(1), drawn(1), small)[2])[-1]
    assert "a picture has 1 x 1 pixels" in flaws(as_outputs(drawn(1), small)[2])[-1]


def test_a_figure_that_does_not_say_its_size_has_a_flaw():
    assert flaws(figure(drawn(1), "")) == ["the output does not say how large its figure is"]
