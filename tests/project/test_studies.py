"""The runner of studies: stopped anywhere, on one machine or on a cluster, it leaves the same table."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tools.studies import STUDIES, Cell, Study, file_of, main, publish, run, run_missing

ROOT = Path(__file__).parents[2]
# Nobody gets to the second level: each cell takes all its steps.
COMMON = {"levels": (0.45, 0.001), "num_train": 40, "max_steps": 120}
TINY = Study(("he", "ntk"), (2, 3), (4, 8), {4: 3, 8: 2}, common=COMMON)
SCRIPT = f"""
import sys
from pathlib import Path
from tools.studies import Study, main

if __name__ == "__main__":
    main(sys.argv[3:], {{"tiny": {TINY!r}}}, Path(sys.argv[1]), Path(sys.argv[2]))
"""


class Here(Executor):
    """What is submitted runs at once, in this process."""

    def __init__(self):
        self.cells = []

    def submit(self, function, cell):
        self.cells.append(cell)
        future = Future()
        future.set_result(function(cell))
        return future


def complete(folder, study=TINY):
    """Run a study in this process as far as it is not done; return the cells that were run and the table."""
    executor, cells = Here(), study.cells()
    run_missing("tiny", cells, folder / "work" / "tiny", executor)
    assert publish("tiny", cells, folder / "work" / "tiny", folder / "stored")
    return executor.cells, table(folder)


def table(folder):
    """The published table; seconds, which no two runs share, are blanked."""
    text = (folder / "stored" / "tiny.csv").read_text(encoding="utf-8")
    return re.sub(r'"seconds": \d+', '"seconds": 0', text)


def rows_of(text):
    return list(csv.DictReader(text.splitlines()[1:]))


def finished(folder):
    """The files of finished cells and when they were written."""
    return {path: path.stat().st_mtime_ns for path in (folder / "work" / "tiny").glob("*.json")}


@contextmanager
def process(*command, **settings):
    """A process of its own group, none of which outlives the test."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *command], env=environment, start_new_session=True, **settings) as started:
        try:
            yield started
        finally:
            with suppress(ProcessLookupError):  # the group has ended by itself
                os.killpg(started.pid, signal.SIGKILL)


def study_process(folder, *options):
    script = folder / "tiny_study.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return process(script, folder / "work", folder / "stored", "tiny", *options, stdout=subprocess.PIPE, text=True)


def wait_until(condition, *processes, seconds=240):
    """Wait until a condition holds; raise if it does not, or if a process that must live has ended."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        assert all(running.poll() is None for running in processes), "a process has ended"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of the study, run in one go in this process."""
    torch.set_num_threads(1)
    cells, text = complete(tmp_path_factory.mktemp("expected"))
    assert len(cells) == 8
    return text


def test_a_table_has_every_cell_and_level_once_and_says_what_made_it(expected):
    settings, rows = json.loads(expected.splitlines()[0].removeprefix("# ")), rows_of(expected)
    assert {key: settings[key] for key in COMMON} == json.loads(json.dumps(COMMON))
    assert settings["command"] == "python -m tools.studies tiny"
    assert settings["data"] == "digits, rows of length 1, float32"
    assert settings["versions"].keys() == {"numpy", "python", "torch"}
    assert (settings["seed"], settings["threads"], settings["method"]) == (0, 1, "flow")
    places = [(row["scheme"], row["depth"], row["width"], row["level"]) for row in rows]
    assert places == sorted(set(places), key=lambda place: (*place[:3], -float(place[3])))
    assert len(rows) == 16
    assert {(row["width"], row["num_networks"]) for row in rows} == {("4", "3"), ("8", "2")}
    assert {row["num_reached"] for row in rows if row["level"] == "0.001"} == {"0"}
    assert any(row["num_reached"] == "3" for row in rows)


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_where_it_was(tmp_path, expected):
    with study_process(tmp_path, "--jobs", "1") as running:
        wait_until(lambda: len(finished(tmp_path)) >= 2, running)
        running.kill()
        running.wait()
    before = finished(tmp_path)
    assert 2 <= len(before) < 8
    assert not (tmp_path / "stored").exists()
    # As if it had been killed in the middle of writing, too.
    (unfinished, *_) = [path for cell in TINY.cells() if not (path := file_of(cell, tmp_path / "work/tiny")).exists()]
    partial = unfinished.with_name(f"{unfinished.name}.1.partial")
    partial.write_text('{"rows": [', encoding="utf-8")
    with study_process(tmp_path, "--jobs", "2") as again:
        said, _ = again.communicate(timeout=240)
    assert again.returncode == 0
    assert said == f"tiny: 8 cells, in {tmp_path / 'stored' / 'tiny.csv'}\n"
    after = finished(tmp_path)
    assert len(after) == 8
    assert {path: after[path] for path in before} == before
    assert partial.read_text(encoding="utf-8") == '{"rows": ['
    assert table(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.skipif(find_spec("distributed") is None, reason="needs Dask: pip install '.[study]'")
def test_a_cluster_that_loses_a_worker_gives_the_same_table(tmp_path, expected):
    file = tmp_path / "scheduler.json"
    here = ["--scheduler-file", file, "--host", "127.0.0.1", "--no-dashboard"]
    worker = [
        "-m",
        "distributed.cli.dask_worker",
        *here,
        "--nthreads",
        "1",
        "--no-nanny",
        "--local-directory",
        tmp_path,
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with process("-m", "distributed.cli.dask_scheduler", *here, "--port", "0", **quiet) as scheduler:
        wait_until(lambda: file.exists() and file.read_text(encoding="utf-8"), scheduler)
        address = json.loads(file.read_text(encoding="utf-8"))["address"]
        with (
            process(*worker, **quiet) as one,
            process(*worker, **quiet) as other,
            study_process(tmp_path, "--cluster", address) as running,
        ):
            wait_until(lambda: len(finished(tmp_path)) >= 2, scheduler, one, other, running)
            one.kill()
            before = finished(tmp_path)
            assert len(before) < 7
            said, _ = running.communicate(timeout=240)
            assert other.poll() is None
    assert running.returncode == 0
    assert said == f"tiny: 8 cells, in {tmp_path / 'stored' / 'tiny.csv'}\n"
    after = finished(tmp_path)
    assert {path: after[path] for path in before} == before
    assert table(tmp_path) == expected


def test_a_finished_study_is_published_again_without_running_anything(tmp_path):
    small = replace(TINY, schemes=("he",), depths=(2,))
    _, first = complete(tmp_path, small)
    before = finished(tmp_path)
    (tmp_path / "stored" / "tiny.csv").unlink()
    cells, second = complete(tmp_path, small)
    assert cells == []
    assert finished(tmp_path) == before
    assert second == first


def test_cells_whose_settings_have_changed_are_run_again_and_no_others(tmp_path, expected):
    small = replace(TINY, schemes=("he",), depths=(2,))
    complete(tmp_path, small)
    before = finished(tmp_path)
    # Another number of networks at one width.
    cells, text = complete(tmp_path, replace(small, num_networks={4: 4, 8: 2}))
    assert [(cell.width, cell.num_networks) for cell in cells] == [(4, 4)]
    assert {row["num_networks"] for row in rows_of(text) if row["width"] == "4"} == {"4"}
    assert len(rows_of(text)) == 4
    # Another setting of all.
    cells, text = complete(tmp_path, replace(small, common=COMMON | {"tolerance": 0.02}))
    assert len(cells) == 2
    assert '"tolerance": 0.02' in text
    # A larger study, and what was there is still as it was.
    cells, text = complete(tmp_path)
    assert len(cells) == 6
    assert text == expected
    assert {path: finished(tmp_path)[path] for path in before} == before


def test_a_study_that_is_not_complete_is_not_published(tmp_path):
    cells = TINY.cells()
    run_missing("tiny", cells[5:], tmp_path / "work", Here())
    assert not publish("tiny", cells, tmp_path / "work", tmp_path / "stored")
    assert not (tmp_path / "stored").exists()


def test_a_table_names_all_versions_that_made_it(tmp_path):
    cells = replace(TINY, schemes=("he",), depths=(2,)).cells()
    run_missing("tiny", cells, tmp_path, Here())
    first = file_of(cells[0], tmp_path)
    result = json.loads(first.read_text(encoding="utf-8"))
    result["versions"]["torch"] = "0.0.1"
    first.write_text(json.dumps(result), encoding="utf-8")
    assert publish("tiny", cells, tmp_path, tmp_path)
    settings = json.loads((tmp_path / "tiny.csv").read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))
    assert settings["versions"]["torch"] == f"0.0.1, {torch.__version__.split('+')[0]}"


@pytest.mark.parametrize("where", ["worker", "write"])
def test_what_was_finished_before_an_error_is_kept(where, tmp_path, monkeypatch):
    cells = TINY.cells()

    class Failing(Here):
        def submit(self, _function, cell):
            future = super().submit(lambda _cell: {"rows": []}, cell)
            if where == "worker" and cell is cells[3]:
                future = Future()
                future.set_exception(ValueError("networks must have a finite loss"))
            return future

    monkeypatch.setattr("tools.studies.as_completed", lambda futures: futures)  # in their order
    if where == "write":
        replaced = Path.replace

        def fail_once(path, target):
            if target == file_of(cells[3], tmp_path):
                raise OSError("no space left")
            return replaced(path, target)

        monkeypatch.setattr(Path, "replace", fail_once)
    message = f"^the cell {cells[3].name} failed: networks must" if where == "worker" else "^no space left$"
    with pytest.raises((RuntimeError, OSError), match=message):
        run_missing("tiny", cells, tmp_path, Failing())
    assert {path.stem for path in tmp_path.glob("*.json")} == {cell.name for cell in cells[:3]}


# Cells.


@pytest.mark.parametrize("field", [field.name for field in fields(Cell)])
def test_every_setting_has_a_part_in_the_name_of_a_cell(field):
    cell = Cell("he", 2, 4, 3, (0.45, 0.1))
    value = getattr(cell, field)
    other = {str: lambda: value + "x", tuple: lambda: (*value, 0.01)}.get(type(value), lambda: value + 1)()
    assert replace(cell, **{field: other}).name != cell.name
    assert replace(cell).name == cell.name


def test_names_are_those_of_files_that_are_kept():
    # Another name would run a study of hours again.
    (cell,) = [c for c in STUDIES["flow_parity"].cells() if (c.scheme, c.depth, c.width) == ("he", 2, 16)]
    assert cell.name == "he-L2-m16-flow-6332baac04"


@pytest.mark.parametrize("name", STUDIES)
def test_the_cells_of_a_study_are_all_there_the_longest_first(name):
    study = STUDIES[name]
    cells = study.cells()
    count = len(study.schemes) * len(study.depths) * len(study.widths) * len(study.methods)
    assert len({cell.name for cell in cells}) == len(cells) == count
    assert [cell.cost for cell in cells] == sorted((cell.cost for cell in cells), reverse=True)
    assert all(
        cell.num_networks == study.num_networks[min(w for w in study.num_networks if cell.width <= w)] for cell in cells
    )


def test_an_optimizer_s_cell_has_rows_of_levels_and_of_epochs():
    settings = {"num_train": 40, "epochs": (1, 2), "max_epochs": 2, "task": "ten", "loss": "cross entropy"}
    result = run(Cell("he", 2, 4, 3, (2.4,), "batches of 8", **settings))
    assert result["cell"]["method"] == "batches of 8"
    assert [(row["method"], row["epoch"]) for row in result["rows"]] == [("batches of 8", epoch) for epoch in (0, 1, 2)]
    assert str(json.loads(json.dumps(result))["rows"]) == str(result["rows"])


def test_an_unknown_study_is_refused_with_the_known_ones(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["tiny", "huge"], {"tiny": TINY, "small": TINY}, tmp_path, tmp_path)
    assert "NAME must be one of tiny, small, got huge" in capsys.readouterr().err
