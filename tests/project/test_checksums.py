"""What is stored is what a tool wrote or somebody recorded, byte for byte."""

import csv
import io
import shutil
import subprocess

import numpy as np
import pytest

from tools import checksums
from tools.checksums import COMMANDS, FILE, covered, main, problems, record, recorded, sum_of
from tools.repository import ROOT
from tools.writing import write

BUDGETS, DIGITS = "tutorial_lib/book/stored/budgets.csv", "tutorial_lib/book/datasets/mnist_1024.npz"
AXE = "tests/vendor/axe.min.js"
# Other tests compare these with the notebooks; the last is text.
COMPARED_ELSEWHERE = {"claims.json", "verdicts.json", "README.md"}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A repository that holds three of the stored files and their sums."""
    for name in (BUDGETS, DIGITS, AXE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(checksums, "ROOT", tmp_path)
    monkeypatch.setattr(checksums, "FILE", tmp_path / "tests" / "checksums.txt")
    return tmp_path


def test_every_stored_file_is_what_was_recorded():
    assert problems() == []


def test_every_result_and_data_file_has_a_sum_or_is_compared_by_another_test():
    folders = (ROOT / "tutorial_lib" / "book" / name for name in ("stored", "datasets"))
    files = [path for folder in folders for path in folder.iterdir() if path.name not in COMPARED_ELSEWHERE]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= covered().keys()


@pytest.mark.parametrize("pattern", COMMANDS)
def test_every_pattern_finds_files(pattern):
    assert any(path.is_file() for path in ROOT.glob(pattern))


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_sha256sum_reads_the_sums():
    assert subprocess.run(["sha256sum", "--quiet", "--strict", "--check", FILE], cwd=ROOT).returncode == 0


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="no checkout")
def test_git_gives_the_same_bytes_on_every_system():
    command = ["git", "check-attr", "--stdin", "text", "eol"]
    names = [*covered(), "tests/checksums.txt"]
    found = subprocess.run(command, cwd=ROOT, input="\n".join(names), capture_output=True, text=True, check=True)
    kept = {"text: unset", "eol: lf"}
    safe = {line.split(": ")[0] for line in found.stdout.splitlines() if any(line.endswith(one) for one in kept)}
    binary = {name for name in names if name.endswith((".npz", ".png"))}  # git sees the zero bytes in them
    assert set(names) - binary <= safe


def test_an_accuracy_changed_in_a_result_file_is_seen(copy):
    record(*(copy / name for name in (BUDGETS, DIGITS, AXE)))
    assert problems() == []
    first, table = (copy / BUDGETS).read_text(encoding="utf-8").split("\n", 1)
    accuracy = next(row["accuracy"] for row in csv.DictReader(io.StringIO(table)) if row["accuracy"] > "0.8")
    (copy / BUDGETS).write_text(f"{first}\n{table.replace(accuracy, '0.512', 1)}", encoding="utf-8")
    (problem,) = problems()
    assert problem.startswith(f"{BUDGETS} is not what was recorded")
    assert problem.endswith("python -m tools.sweeps budgets")


def test_two_digits_that_change_places_are_seen(copy):
    record(*(copy / name for name in (BUDGETS, DIGITS, AXE)))
    with np.load(copy / DIGITS) as stored:
        pixels, classes = stored["pixels"], stored["classes"]
    one, other = 0, int(np.nonzero(classes != classes[0])[0][0])
    pixels[[one, other]] = pixels[[other, one]]
    np.savez_compressed(copy / DIGITS, pixels=pixels, classes=classes)
    (problem,) = problems()
    assert DIGITS in problem and problem.endswith("python -m tools.bundled_mnist FOLDER")


def test_one_byte_of_a_vendored_script_is_seen(copy):
    record(*(copy / name for name in (BUDGETS, DIGITS, AXE)))
    content = bytearray((copy / AXE).read_bytes())
    content[1000] ^= 1
    (copy / AXE).write_bytes(content)
    (problem,) = problems()
    assert AXE in problem and problem.endswith(f"python -m tools.checksums {AXE}")


def test_a_missing_file_and_one_without_a_sum_are_named(copy):
    record(copy / BUDGETS, copy / AXE)
    (copy / AXE).unlink()
    without, gone = problems()
    assert without.startswith(f"{DIGITS} has no checksum") and "python -m tools.bundled_mnist FOLDER" in without
    assert gone.startswith(f"{AXE} is gone") and gone.endswith(f"python -m tools.checksums {AXE}")


def test_recording_again_makes_a_change_right_and_forgets_what_is_gone(copy):
    record(copy / BUDGETS, copy / AXE, copy / DIGITS)
    (copy / DIGITS).write_bytes(b"other digits")
    (copy / AXE).unlink()
    main([DIGITS, AXE])
    assert problems() == []
    assert recorded() == {name: sum_of(copy / name) for name in (BUDGETS, DIGITS)}


def test_what_lies_outside_the_repository_has_no_sum(copy, tmp_path_factory):  # noqa: ARG001
    trial = tmp_path_factory.mktemp("trial") / "budgets.csv"
    write(trial, "# {}\n")
    record(trial)
    assert recorded() == {}
    assert trial.read_bytes() == b"# {}\n"


def test_a_file_that_does_not_exist_is_refused_by_name(copy):  # noqa: ARG001
    with pytest.raises(SystemExit, match=r"^There is no file book/none.js: give paths as seen from the top"):
        main(["book/none.js"])
    with pytest.raises(SystemExit, match="^Name the files"):
        main([])


def test_a_result_file_that_lost_its_first_line_is_still_named(copy):
    record(copy / BUDGETS, copy / AXE, copy / DIGITS)
    (copy / BUDGETS).write_text("scheme,width\n", encoding="utf-8")
    (problem,) = problems()
    assert BUDGETS in problem and "its first line no longer says which" in problem
