"""Run the notebooks and store their outputs: the only writer of outputs. See `make notebooks`.

What differs from run to run is taken out (`normalise`), so that a second run leaves no difference.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tools.claims import keep
from tools.repository import notebook_paths
from tools.verdicts import collect
from tools.writing import write
from tutorial_lib.book.claims import RECORD

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
REFERENCE = re.compile(r"IPY_MODEL_([0-9a-f]{32})")
SECONDS_PER_CELL = 120
Notebook = dict[str, Any]


def viewed_models(notebook: Notebook) -> list[str]:
    """Return the ids of the models that outputs show, in their order."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    views = [output["data"][VIEW] for output in outputs if VIEW in output.get("data", {})]
    return [view["model_id"] for view in views]


def references(model: Any) -> list[str]:
    """Return the ids a model refers to, in an order that does not depend on the ids."""
    return REFERENCE.findall(json.dumps(model, sort_keys=True))


def reachable_models(models: Notebook, roots: list[str]) -> list[str]:
    """Return the models that are seen, and the links between them, in the order of first appearance."""
    order: dict[str, None] = {}

    def visit(model_id: str) -> None:
        if model_id in models and model_id not in order:
            order[model_id] = None
            for child in references(models[model_id]):
                visit(child)

    for root in roots:
        visit(root)
    links = [m for m in models if "LinkModel" in models[m]["model_name"]]
    links = [m for m in links if set(references(models[m])) <= set(order)]
    positions = list(order)
    return [*order, *sorted(links, key=lambda m: [positions.index(r) for r in references(models[m])])]


def show_without_kernel(models: Notebook) -> None:
    """Grey the stored controls out, and show the sentence that says why.

    The stored state is what a page without a kernel draws. With a kernel a run replaces it.
    """
    for model in models.values():
        state = model["state"]
        if "disabled" in state:
            state["disabled"] = True
        if "needs-kernel" in state.get("_dom_classes", []):
            layout = state["layout"].removeprefix("IPY_MODEL_")
            models[layout]["state"]["display"] = None


def normalise_widgets(notebook: Notebook) -> Notebook:
    """Keep the models that are seen, number them, and make their stored state fit a static page."""
    widgets = notebook["metadata"].get("widgets", {})
    if STATE not in widgets:
        notebook["metadata"].pop("widgets", None)
        return notebook
    models = widgets[STATE]["state"]
    kept = reachable_models(models, viewed_models(notebook))
    if not kept:
        notebook["metadata"].pop("widgets")
        return notebook
    widgets[STATE]["state"] = {model_id: models[model_id] for model_id in kept}
    show_without_kernel(widgets[STATE]["state"])
    text = json.dumps(notebook)
    for number, model_id in enumerate(kept, start=1):
        text = text.replace(model_id, f"{number:032x}")
    return dict(json.loads(text))


def add_missing_ids(notebook: Notebook) -> None:
    """Give each cell without an id one that comes from its place."""
    used = {cell.get("id") for cell in notebook["cells"]}
    for place, cell in enumerate(notebook["cells"], start=1):
        if "id" not in cell:
            names = (f"cell-{place}{suffix}" for suffix in ["", *map("-{}".format, range(2, 1000))])
            cell["id"] = next(name for name in names if name not in used)
            used.add(cell["id"])


def normalise(notebook: Notebook) -> Notebook:
    """Take out of an executed notebook what differs from run to run or from machine to machine."""
    add_missing_ids(notebook)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    metadata = notebook["metadata"]
    metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata["language_info"] = {
        key: value for key, value in metadata.get("language_info", {}).items() if key != "version"
    }
    count = 0
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = count
    return normalise_widgets(notebook)


def words_of(error: Exception) -> str:
    """Return what a failed cell says, without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def interruptible(notebook: Notebook) -> None:  # noqa: ARG001
    """Let Ctrl-C end the run: nbclient's own handler ends the kernel only, and then fails in another place."""
    with contextlib.suppress(NotImplementedError):  # on Windows, where nbclient sets no handler
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def store(path: Path, record: Path) -> None:
    """Run one notebook from its stored sources and write it back with its outputs; keep the claims it made."""
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a notebook: {error}")
    add_missing_ids(source)
    source["nbformat"], source["nbformat_minor"] = 4, 5
    source["metadata"].pop("widgets", None)
    notebook = nbformat.reads(json.dumps(source), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
    )
    running: list[int] = []
    client.on_cell_execute = lambda cell, cell_index: running.append(cell_index)  # noqa: ARG005
    client.on_notebook_start = interruptible
    try:
        environment = os.environ | {RECORD: str(record)}
        client.execute(stderr=subprocess.DEVNULL, env=environment)  # the kernel's log, not what cells write
    except KeyboardInterrupt:
        sys.exit(f"{path.name}: stopped, nothing was written.")
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        if not running:
            sys.exit(f"{path.name}: its kernel did not start, nothing was written.")
        cell = f"cell {running[-1] + 1} of {len(notebook.cells)}"
        sys.exit(f"{path.name}: {cell} (Markdown included) failed, nothing was written.\n{words_of(error)}")
    stored = nbformat.reads(json.dumps(normalise(json.loads(json.dumps(notebook)))), as_version=4)
    nbformat.validate(stored)
    write(path, nbformat.writes(stored) + "\n")
    keep(path, [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()])


def main(names: list[str]) -> None:
    """Run the named notebooks, or all of them, and print the seconds each takes."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # no progress bars in stored outputs
    for path in [Path(name).resolve() for name in names] or notebook_paths():
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "claims"
            record.touch()
            store(path, record)
        # Before the next notebook runs: the last chapter reads what the others have shown.
        collect()
        print(f"{time.perf_counter() - start:6.1f} s  {path.name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
