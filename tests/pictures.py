"""Stored pictures beside those that a run draws again. nbval compares the other outputs, and leaves pictures alone.

Another processor may differ in a few pixels, so both are averaged over blocks; a curve that has moved, another figure,
or two frames that have changed places differ by far more than `TOLERANCE`.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

BLOCKS = (60, 40)  # across, down
TOLERANCE = 10  # of 255 levels of grey, in any block
FRAME = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]*)")
SIZE = re.compile(r"<Figure size (\d+)x(\d+)")
# Saved without its margins a figure differs a little from the size that it says it has.
MARGIN = 0.1
SMALLEST = 100  # pixels, either way


def pictures(outputs: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return the pictures in the outputs of a cell, frames of flipbooks included, in their order."""
    found = []
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            found.append("".join(data["image/png"]))
        found += FRAME.findall("".join(data.get("text/html", "")))
    return [b64decode(text) for text in found]


def flaws(output: dict[str, Any]) -> list[str]:
    """Say what is wrong with the pictures of one output: cut, blank, or not as large as the output says."""
    found = []
    said = SIZE.search("".join(output.get("data", {}).get("text/plain", "")))
    sizes = []
    for place, picture in enumerate(pictures([output]), start=1):
        try:
            with Image.open(BytesIO(picture)) as image:
                colours = image.convert("RGB").getcolors(2)  # decodes it wholly; None: more than two
                sizes.append(image.size)
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            found.append(f"picture {place} does not decode: {error}")
            continue
        if colours is not None and len(colours) == 1:
            found.append(f"picture {place} is blank")
    if "image/png" in output.get("data", {}) and said is None:
        found.append("the output does not say how large its figure is")
    wanted = tuple(map(int, said.groups())) if said else sizes[0] if sizes else (0, 0)
    for size in sizes:
        if min(size) < SMALLEST or any(abs(a - b) > MARGIN * b for a, b in zip(size, wanted, strict=True)):
            found.append(f"a picture has {size[0]} x {size[1]} pixels instead of about {wanted[0]} x {wanted[1]}")
    return found


def blocks(picture: bytes) -> np.ndarray:
    """Return the mean grey of each block of a picture; an error where it does not decode."""
    with Image.open(BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB").convert("L").resize(BLOCKS, Image.Resampling.BOX), dtype=float)


def difference(stored: list[bytes], drawn: list[bytes]) -> str | None:
    """Say in what the drawn pictures differ from the stored ones, or return None."""
    if len(stored) != len(drawn):
        return f"{len(drawn)} pictures are drawn, {len(stored)} are stored"
    for place, (old, new) in enumerate(zip(stored, drawn, strict=True), start=1):
        try:
            largest = np.abs(blocks(old) - blocks(new)).max()
        except (UnidentifiedImageError, OSError) as error:
            return f"picture {place} does not decode: {error}"
        if largest > TOLERANCE:
            return f"picture {place} looks different: {largest:.0f} levels of grey in a block, at most {TOLERANCE}"
    return None
