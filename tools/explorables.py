"""Write what the explorables of the book compute with: `python -m tools.explorables`.

Their scripts are written by hand, in tutorial_lib/book/site_root/explorables. Here their data are made from the stored
studies, and the still pictures that take their place on paper and where scripts are off.
"""

import json
from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from tools.checksums import record
from tools.repository import ROOT
from tools.writing import write
from tutorial_lib.book.data import load_images
from tutorial_lib.book.digit_network import FILE, digit_network_accuracy, predicted_digits
from tutorial_lib.book.equal_loss import LevelRow
from tutorial_lib.book.explorables import STILLS, scripts_of
from tutorial_lib.book.results import stored_levels

FOLDER = ROOT / "tutorial_lib" / "book" / "site_root" / "explorables"
METHODS = ("flow", "Adam", "batches of 32", "half the stable step")


def collapse() -> dict[str, dict[str, list[list[float]]]]:
    """Return the runs of even against odd digits: by case and width, rows of loss, steps, time and P / radius."""
    cases: dict[str, dict[str, list[list[float]]]] = {}
    rows = [row for study in ("flow_parity", "optimizers") for row in stored_levels(study)]
    for row in sorted(rows, key=lambda row: -row.level):
        # Along a curve the networks stay the same: a level that not all of them reached is left out.
        if row.method in METHODS and row.width >= 16 and row.num_reached == row.num_networks:
            case = cases.setdefault(f"{row.scheme}/{row.depth}/{row.method}", {})
            case.setdefault(str(row.width), []).append(_collapse_row(row))
    return {case: dict(sorted(runs.items(), key=lambda run: int(run[0]))) for case, runs in sorted(cases.items())}


def _collapse_row(row: LevelRow) -> list[float]:
    numbers = (row.loss.mean, row.steps.mean, row.time.mean if row.method == "flow" else 0.0, row.stability.mean)
    return [float(f"{number:.3g}") for number in numbers]


def fool() -> dict[str, Any]:
    """Return the network that reads digits and one image of each digit, from the rows that come with the package."""
    with np.load(FILE) as stored:
        network = {
            "first": _packed(stored["first"]),
            "last": _packed(stored["last"]),
            "firstScale": float(stored["first_scale"]),
            "lastScale": float(stored["last_scale"]),
            "firstBias": stored["first_bias"].tolist(),
            "lastBias": stored["last_bias"].tolist(),
        }
    split = load_images("mnist", num_train=1000, num_test=24)
    images, classes = split.train_images, split.train_classes
    right = predicted_digits(images) == classes
    first = [int(torch.nonzero(right & (classes == digit))[0]) for digit in range(10)]
    pictures = [_packed((images[place] * 255).round().to(torch.uint8).numpy()) for place in first]
    return {"network": network, "images": pictures, "accuracy": digit_network_accuracy()}


def _packed(values: npt.NDArray[Any]) -> str:
    return b64encode(values.tobytes()).decode()


DATA = {"collapse": collapse, "fool": fool}


def script(name: str, data: Any) -> str:
    """Return the data of an explorable as a classic script: a page opened from a file may fetch nothing."""
    text = json.dumps(data, separators=(",", ":"))
    return f"(globalThis.CompanionData ??= {{}}).{name} = {text};\n"


def picture(name: str, browser: Any) -> bytes:
    """Return the first picture of an explorable as the browser draws it, in few colours."""
    tab = browser.new_page(viewport={"width": 760, "height": 900}, device_scale_factor=1.5, reduced_motion="reduce")
    inline = "".join(f"<script>{script}</script>" for script in scripts_of(name))
    tab.set_content(f'<html lang="en" data-theme="light"><companion-{name}></companion-{name}>{inline}</html>')
    tab.wait_for_timeout(500)
    pixels = tab.locator(f"companion-{name} .stage").screenshot()
    tab.close()
    small = BytesIO()
    Image.open(BytesIO(pixels)).convert("RGB").quantize(48).save(small, format="png", optimize=True)
    return small.getvalue()


def main() -> None:
    """Write the data of every explorable, then its still picture (which needs Chromium)."""
    from playwright.sync_api import sync_playwright

    from tools.browser import launched

    for name, make in DATA.items():
        write(FOLDER / f"{name}.data.js", script(name, make()))
    with sync_playwright() as playwright:
        browser = launched(playwright)
        for name in STILLS:
            (FOLDER / f"{name}.png").write_bytes(picture(name, browser))
        browser.close()
    record(*(FOLDER / f"{name}.data.js" for name in DATA), *(FOLDER / f"{name}.png" for name in STILLS))


if __name__ == "__main__":
    main()
