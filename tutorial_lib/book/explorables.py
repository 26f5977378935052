"""Explorables: figures that compute in the page, without a kernel and without a network.

Each is a custom element with a script of its own beside this file, in site_root/explorables. The pages of the book load
the script themselves; elsewhere, in Colab or JupyterLab, the output brings it along. Without scripts, and on paper, a
still picture takes its place.
"""

import os
from base64 import b64encode
from html import escape
from importlib.resources import files

from IPython.display import HTML

from tutorial_lib.arguments import require_member

# What the still picture of each shows, in words.
STILLS = {
    "fool": (
        "A handwritten digit three times: as it is, with a random change of each pixel, and with a chosen change of "
        "the same size; the network misreads the last one only."
    ),
    "collapse": (
        "The reaction to a nudge of He networks of depth 4 and widths 16 to 512, against the training steps: "
        "curves that lie far apart."
    ),
    "neurons": (
        "Left: a function that is 0 everywhere and the five points it is to learn. Right: one hundred neurons around "
        "the origin, in pairs."
    ),
    "disc": (
        "Left: a disc around an input. Right: what a random network of four layers makes of it, a folded shape, beside "
        "the dashed ellipse of its linearization."
    ),
    "law": (
        "P over radius of random He networks, one grey point each, and their running mean, which ends beside the line "
        "of the exact value."
    ),
}


def _file(name: str) -> bytes | None:
    file = files("tutorial_lib.book") / "site_root" / "explorables" / name
    return file.read_bytes() if file.is_file() else None


def scripts_of(name: str) -> list[str]:
    """Return the scripts that an explorable needs, in their order: the shared one, its data if it has some, its own."""
    found = [_file(file) for file in ("shared.js", f"{name}.data.js", f"{name}.js")]
    return [script.decode() for script in found if script is not None]


def element(name: str) -> str:
    """Return the element of an explorable, around the still picture that stands in its place without scripts."""
    require_member(STILLS, name=name)
    pixels = b64encode(_file(f"{name}.png") or b"").decode()
    still = f'<img alt="{escape(STILLS[name])}" style="max-width: 100%" src="data:image/png;base64,{pixels}">'
    data = " data-with-data" if _file(f"{name}.data.js") else ""
    return f'<companion-{name} data-explorable="{name}"{data}>{still}</companion-{name}>'


def show(name: str) -> HTML:
    """Return an explorable, such as ``"collapse"``, as the output of a cell.

    It brings its scripts along, except where the repository stores its outputs: the pages of the book have them.
    """
    scripts = [] if os.environ.get("TUTORIAL_LIB_STRICT") else scripts_of(name)
    inline = "".join(f"<script>{script}</script>" for script in scripts)
    return HTML(element(name) + inline)  # type: ignore[no-untyped-call]  # IPython carries no types
