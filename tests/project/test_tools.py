"""What the tools write does not depend on the run, the machine or the order of random ids."""

import copy
import importlib.util
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tools.lock import OF_TORCH, pins
from tools.notebooks import STATE, VIEW, add_missing_ids, normalise
from tools.repository import badge, current, install_cell, stamp, version


def executed(ids):
    """A notebook as a kernel leaves it: a slider, a text, a link, and a model that nothing shows."""
    box, slider, text, layout, link, orphan = (f"{i:032x}" for i in ids)
    models = {
        orphan: {"model_name": "LayoutModel", "state": {}},
        link: {
            "model_name": "LinkModel",
            "state": {"source": [f"IPY_MODEL_{slider}", "value"], "target": [f"IPY_MODEL_{text}", "value"]},
        },
        layout: {"model_name": "LayoutModel", "state": {"display": "none"}},
        text: {
            "model_name": "HTMLModel",
            "state": {"_dom_classes": ["needs-kernel"], "layout": f"IPY_MODEL_{layout}"},
        },
        slider: {"model_name": "IntSliderModel", "state": {"disabled": False, "value": 3}},
        box: {
            "model_name": "VBoxModel",
            "state": {"children": [f"IPY_MODEL_{slider}", f"IPY_MODEL_{text}"]},
        },
    }
    view = {"model_id": box, "version_major": 2, "version_minor": 0}
    output = {"output_type": "display_data", "data": {VIEW: view}, "metadata": {}}
    cell = {"cell_type": "code", "execution_count": 7, "source": "box", "outputs": [output]}
    return {
        "cells": [cell | {"metadata": {"execution": {"iopub.status.busy": "2026-01-01T00:00:00"}}}],
        "metadata": {
            "widgets": {STATE: {"state": models, "version_major": 2}},
            "language_info": {"name": "python", "version": "3.11.7"},
        },
    }


def state_of(notebook):
    return notebook["metadata"]["widgets"][STATE]["state"]


def test_two_runs_with_other_random_ids_give_the_same_notebook():
    one, other = executed([90, 80, 70, 60, 50, 40]), executed([15, 26, 37, 48, 59, 10])
    assert normalise(one) == normalise(other)


def test_normalising_twice_changes_nothing_more():
    once = normalise(executed(range(100, 106)))
    assert normalise(copy.deepcopy(once)) == once


def test_only_what_is_shown_and_its_links_are_kept():
    notebook = normalise(executed(range(100, 106)))
    names = [model["model_name"] for model in state_of(notebook).values()]
    assert names == ["VBoxModel", "IntSliderModel", "HTMLModel", "LayoutModel", "LinkModel"]
    view = notebook["cells"][0]["outputs"][0]["data"][VIEW]["model_id"]
    assert list(state_of(notebook))[0] == view == f"{1:032x}"


def test_the_static_page_shows_disabled_controls_and_the_reason():
    stored = state_of(normalise(executed(range(9, 15))))
    models = {model["model_name"]: model["state"] for model in stored.values()}
    assert models["IntSliderModel"]["disabled"] is True
    assert models["LayoutModel"]["display"] is None


def test_times_versions_and_counts_of_the_session_go():
    notebook = normalise(executed(range(100, 106)))
    assert notebook["cells"][0]["metadata"] == {}
    assert notebook["cells"][0]["execution_count"] == 1
    assert notebook["metadata"]["language_info"] == {"name": "python"}


def test_a_notebook_without_widgets_keeps_no_widget_state():
    notebook = executed(range(100, 106))
    notebook["cells"][0]["outputs"] = []
    assert "widgets" not in normalise(notebook)["metadata"]


def test_missing_cell_ids_come_from_the_place_and_present_ones_stay():
    notebook = {"cells": [{}, {"id": "mine"}, {"id": "cell-4"}, {}]}
    add_missing_ids(notebook)
    assert [cell["id"] for cell in notebook["cells"]] == ["cell-1", "mine", "cell-4", "cell-4-2"]


def test_stamping_twice_changes_nothing_more():
    title = {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "\n", "Text."]}
    notebook = {"cells": [title, {"cell_type": "code", "metadata": {}, "source": ["1 + 1"]}]}
    stamp(notebook, "01_a.ipynb")
    once = copy.deepcopy(notebook)
    stamp(notebook, "01_a.ipynb")
    assert notebook == once
    assert "".join(notebook["cells"][0]["source"]) == f"# Title\n\n{badge('01_a.ipynb')}\n\nText."
    assert "".join(notebook["cells"][1]["source"]) == install_cell()


def test_the_install_cell_does_nothing_where_the_package_is_present(capsys):
    exec(compile(install_cell(), "install cell", "exec"), {})
    assert capsys.readouterr().out == ""


class Installer:
    """Stands in for pip and for what can be imported."""

    def __init__(self, monkeypatch, before, after=None, *, error=""):
        self.modules, self.error, self.commands = {"found": before, "installed": after}, error, []
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tutorial_lib" and self.modules["found"])
        monkeypatch.setattr(importlib, "import_module", lambda name: self.modules["found"])  # noqa: ARG005
        monkeypatch.setattr(subprocess, "run", self.run)
        # What the cell takes out of sys.modules comes back after the test.
        for name in [name for name in sys.modules if name.split(".")[0] == "tutorial_lib"]:
            monkeypatch.setitem(sys.modules, name, sys.modules[name])

    def run(self, command, **options):  # noqa: ARG002
        self.commands.append(command)
        if not self.error:
            self.modules["found"] = self.modules["installed"]
        return SimpleNamespace(returncode=1 if self.error else 0, stderr=self.error)

    def run_the_cell(self):
        exec(compile(install_cell(), "install cell", "exec"), {})


def package(version=None):
    """An installed package of that version; without one, what Python makes of an empty folder."""
    return SimpleNamespace(__path__=["a folder"], **({"__version__": version} if version else {}))


@pytest.mark.parametrize("before", [None, package(), package("0.0.9"), package("0.0.9.post202612312359")])
def test_the_install_cell_adds_the_package_where_there_is_none_or_an_older_one(monkeypatch, capsys, before):
    installer = Installer(monkeypatch, before, package(version()))
    installer.run_the_cell()
    assert capsys.readouterr().out == f"Installed tutorial_lib {version()}.\n"
    (command,) = installer.commands
    assert "--no-deps" in command
    archive, *pins = command[command.index("--no-deps") + 1 :]
    assert archive == current().archive
    assert [re.fullmatch(r"([\w-]+)==[\w.]+", pin)[1] for pin in pins] == ["jaxtyping", "wadler-lindig"]


@pytest.mark.parametrize("present", [package(version()), package("99.0")])
def test_the_install_cell_leaves_the_same_and_a_newer_package_alone(monkeypatch, present):
    installer = Installer(monkeypatch, present)
    installer.run_the_cell()
    assert installer.commands == []


def test_the_install_cell_says_what_the_installer_said(monkeypatch):
    error = (
        "WARNING: Retrying\nERROR: HTTP error 404 while getting it\nERROR: Not there\n\n[notice] A new release of pip\n"
    )
    with pytest.raises(RuntimeError) as refusal:
        Installer(monkeypatch, None, error=error).run_the_cell()
    assert str(refusal.value).endswith("pip says:\nERROR: HTTP error 404 while getting it\nERROR: Not there")


def test_without_pip_the_install_cell_says_so(monkeypatch):
    with pytest.raises(RuntimeError, match="python: No module named pip$"):
        Installer(monkeypatch, None, error="python: No module named pip\n").run_the_cell()


def test_an_older_package_that_hides_the_installed_one_is_named_with_its_folder(monkeypatch):
    with pytest.raises(RuntimeError, match="Python finds an older tutorial_lib in a folder: move it away"):
        Installer(monkeypatch, package("0.0.9"), package("0.0.9")).run_the_cell()


def test_a_lock_is_read_package_by_package_with_markers_and_hashes():
    one = "a-b==1 ; os_name == 'nt' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
    other = "torch==2.13.0 \\\n    --hash=sha256:02\n"
    assert pins(f"# written\n{one}{other}") == {"a-b": one, "torch": other}


@pytest.mark.parametrize(
    ("name", "left_out"),
    [("torch", True), ("nvidia-nccl-cu13", True), ("cuda-toolkit", True), ("triton", True), ("tornado", False)],
)
def test_what_only_a_build_of_torch_needs_is_left_out_of_the_lock(name, left_out):
    assert bool(OF_TORCH.match(name)) == left_out
