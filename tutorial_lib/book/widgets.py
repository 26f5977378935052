"""Interactive figures: a flipbook that needs no kernel, and live controls that recompute.

Both take a pure ``draw(ax, ...)`` and a ``describe(...)`` that says in words what the figure
shows. The description is the alt text, and the numbers in it are what the tests compare.
"""

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from html import escape
from string import Template
from typing import Any, TypeVar

import ipywidgets
import matplotlib.style
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tutorial_lib.arguments import require_at_least
from tutorial_lib.book.plotting import STYLE

Value = TypeVar("Value")

# Where the chapters open; written by `make address`.
NOTEBOOKS = "https://colab.research.google.com/github/your_organization/robustness-tutorial/blob/published/"

_FLIPBOOK = Template("""\
<figure class="flipbook" id="$key">
<label for="$key-slider">$label</label>
<input type="range" id="$key-slider" min="0" max="$last" step="1" value="$start"
 style="width: min(100%, 24em)">
<output for="$key-slider" aria-live="polite">$name</output>
<div class="frames">
$frames
</div>
<script>
(() => {
  const book = document.getElementById("$key"), names = $names;
  const slider = book.querySelector("input"), output = book.querySelector("output");
  const show = () => {
    const now = slider.valueAsNumber;
    book.querySelectorAll("img").forEach((frame, i) => { frame.hidden = i !== now; });
    output.textContent = names[now];
    slider.setAttribute("aria-valuetext", names[now]);
  };
  slider.addEventListener("input", show);
  show();
})();
</script>
</figure>""")


def _image_tag(draw: Callable[[Axes], object], alt: str, *, hidden: bool = False) -> str:
    """Draw one figure and return it as an ``img`` element that carries its own pixels."""
    with matplotlib.style.context(STYLE):
        figure = Figure(dpi=120)
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=120)
    # Line art needs few colours: a palette makes the file three times smaller.
    small = io.BytesIO()
    Image.open(pixels).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    data = b64encode(small.getvalue()).decode("ascii")
    attributes = "hidden " if hidden else ""
    style = "max-width: 100%; height: auto"
    return f'<img {attributes}alt="{escape(alt)}" style="{style}" src="data:image/png;base64,{data}">'


def flipbook(
    draw: Callable[[Axes, Value], object],
    values: Sequence[Value],
    *,
    label: str,
    describe: Callable[[Value], str],
    name: Callable[[Value], str] = str,
    start: int = 0,
) -> HTML:
    """Return pre-drawn frames, one per value, with a native slider that shows one at a time.

    Works in a static page, offline, with the keyboard, in Colab and in Jupyter. ``name`` is
    what the slider reads at a value, ``describe`` the alt text of that frame, ``start`` the
    index of the frame shown first. The ids come from the texts, so that two runs agree.
    """
    require_at_least(1, values=len(values))
    if not 0 <= start < len(values):
        raise ValueError(f"start must be an index of values, 0 to {len(values) - 1}, got {start}")
    names, texts = [name(value) for value in values], [describe(value) for value in values]

    def frame(index: int) -> str:
        return _image_tag(lambda ax: draw(ax, values[index]), texts[index], hidden=index != start)

    digest = sha256("\n".join([label, *names, *texts]).encode()).hexdigest()
    return HTML(  # type: ignore[no-untyped-call]  # IPython carries no types
        _FLIPBOOK.substitute(
            key=f"flipbook-{digest[:12]}",
            label=escape(label),
            last=len(values) - 1,
            start=start,
            name=escape(names[start]),
            names=json.dumps(names).replace("<", "\\u003c"),
            frames="\n".join(map(frame, range(len(values)))),
        )
    )


def choice(label: str, options: Mapping[str, Any], value: Any) -> ipywidgets.Dropdown:
    """Return a drop-down list; ``options`` maps what the reader sees to what ``draw`` gets."""
    return ipywidgets.Dropdown(
        description=label,
        options=list(options.items()),
        value=value,
        style={"description_width": "initial"},
    )


def number(label: str, value: int, *, minimum: int, maximum: int) -> ipywidgets.BoundedIntText:
    """Return an integer field that holds ``minimum`` to ``maximum``."""
    return ipywidgets.BoundedIntText(
        description=label,
        value=value,
        min=minimum,
        max=maximum,
        continuous_update=False,
        style={"description_width": "initial"},
    )


def live(
    draw: Callable[..., object],
    controls: Mapping[str, ipywidgets.ValueWidget],
    *,
    describe: Callable[..., str],
    chapter: str,
) -> ipywidgets.VBox:
    """Return controls above a figure that the kernel draws again at every change.

    ``draw(ax, **values)`` and ``describe(**values)`` get the controls' values by name; an error
    they raise about a value is shown in place of the figure. The page without a kernel shows
    the controls switched off and a sentence with the link to the notebook ``chapter``, such as ``"07_bounds"``.
    """
    picture = ipywidgets.HTML()
    note = ipywidgets.HTML(
        "These controls compute in Python, and no Python is running behind this page. "
        f'<a href="{NOTEBOOKS}notebooks/{chapter}.ipynb">Open the chapter as a notebook</a> and run it to use them.'
    )
    note.add_class("needs-kernel")
    # The tool that stores the outputs shows the note; a running kernel has no use for it.
    note.layout.display = "none"

    def refresh(_change: object = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        try:
            picture.value = _image_tag(lambda ax: draw(ax, **values), describe(**values))
        except ValueError as error:
            picture.value = f'<p role="alert">{escape(str(error))}</p>'

    for control in controls.values():
        control.observe(refresh, names="value")
    refresh()
    row = ipywidgets.HBox(list(controls.values()))
    row.layout.flex_flow = "row wrap"
    return ipywidgets.VBox([row, note, picture])
