"""The environment is made again when what it is made from changes, and the one that works is kept until then."""

import ast
import errno
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tools import build, environment
from tools.environment import STAMP, explained, main, recipe, refuse_unfit_python, stands
from tools.writing import alone, write

ROOT = Path(__file__).parents[2]
PINS = "numpy==2.4.6 \\\n    --hash=sha256:00\n"


def files(root, pins=PINS, torch="torch==2.13.0\n"):
    (root / "a.txt").write_text(pins)
    (root / "b.txt").write_text(torch)
    return recipe("a.txt", "b.txt", root=root)


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder where an environment is made by the commands that a test names."""
    monkeypatch.setattr(environment, "warn_of_cuda", lambda folder: None)  # noqa: ARG005

    def make(code, target=tmp_path / ".venv"):
        begin = python(f"import pathlib; pathlib.Path({str(target)!r}).mkdir()")
        monkeypatch.setattr(environment, "steps", lambda folder: {"one": begin, "two": python(code)})  # noqa: ARG005
        main(target)

    make.path = tmp_path / ".venv"
    return make


def worked(folder):
    """An environment that was made from something else, and works."""
    folder.path.mkdir()
    (folder.path / STAMP).write_text("made from older pins\n")
    (folder.path / "works").touch()


def leftovers(folder):
    return sorted(path.name for path in folder.path.parent.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("change", ["# a comment\n" + PINS, PINS + "\n\n", PINS.replace("    --", "  --")])
def test_comments_and_blank_lines_make_no_other_environment(tmp_path, change):
    assert files(tmp_path) == files(tmp_path, pins=change)


def test_another_pin_hash_torch_python_or_place_makes_another_environment(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    recipes = [
        files(tmp_path),
        files(tmp_path, pins=PINS.replace("2.4.6", "2.4.7")),
        files(tmp_path, pins=PINS.replace("00", "01")),
        files(tmp_path, torch="torch==2.14.0\n"),
        files(tmp_path / "elsewhere"),
    ]
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    assert len({*recipes, files(tmp_path)}) == 6


def test_an_environment_that_stands_is_left_alone(folder):
    folder("")
    before = (folder.path / STAMP).stat().st_mtime_ns
    folder("raise SystemExit('made again')")
    assert (folder.path / STAMP).stat().st_mtime_ns == before
    assert leftovers(folder) == [".venv"]


def test_a_finished_environment_takes_the_place_of_the_former(folder):
    worked(folder)
    folder("")
    assert stands(folder.path / STAMP, recipe(environment.LOCK, environment.TORCH))
    assert not (folder.path / "works").exists()
    assert leftovers(folder) == [".venv"]


@pytest.fixture
def interruptible():
    """An interrupt ends this process even where tests run as a shell's background job, which ignores it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "code", ["raise SystemExit(1)", "import os; os.kill(os.getppid(), 2); import time; time.sleep(9)"]
)
def test_after_a_failure_or_an_interrupt_the_former_environment_is_back(folder, code):
    worked(folder)
    with pytest.raises(SystemExit, match="The former .* is as it was"):
        folder(code)
    assert (folder.path / "works").exists()
    assert leftovers(folder) == [".venv"]


def test_a_first_environment_that_fails_leaves_nothing_that_looks_finished(folder):
    with pytest.raises(SystemExit, match="two failed") as end:
        folder("raise SystemExit(1)")
    assert "former" not in str(end.value)
    assert leftovers(folder) == []


def test_what_a_killed_run_left_is_put_right_by_the_next(folder):
    worked(folder)
    folder.path.rename(folder.path.with_name(".venv.former"))
    (folder.path / "half").mkdir(parents=True)
    with pytest.raises(SystemExit, match="as it was"):
        folder("raise SystemExit(1)")
    assert (folder.path / "works").exists()
    assert leftovers(folder) == [".venv"]


def test_a_run_killed_after_its_last_step_does_not_bring_the_former_back(folder):
    folder("")
    (folder.path.with_name(".venv.former")).mkdir()
    (folder.path / STAMP).write_text("made from older pins\n")
    folder("")
    assert leftovers(folder) == [".venv"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(folder):
    folder.path.write_text("mine")
    with pytest.raises(SystemExit, match="is a file, and must be a folder"):
        folder("")
    assert folder.path.read_text() == "mine"
    assert leftovers(folder) == [".venv"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/books"), "/books cannot be changed .Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device", "/books"), "the disk is full ./books."),
    ],
)
def test_what_the_system_refuses_is_named_in_one_sentence(folder, monkeypatch, error, words):
    def refuse(*_):
        raise error

    monkeypatch.setattr(environment, "alone", refuse)
    with pytest.raises(SystemExit, match=words):
        folder("")


@pytest.mark.parametrize("fails", [False, True])
def test_the_site_that_stood_is_back_after_a_build_that_was_killed_while_they_changed_places(
    tmp_path, monkeypatch, fails
):
    for name, place in {"BUILT": "", "SITE": "html", "FORMER": "former", "FRESH": "fresh"}.items():
        monkeypatch.setattr(build, name, tmp_path / place)
    write(tmp_path / "former" / "index.html", "stood")
    if fails:
        monkeypatch.setattr(build, "build", lambda: sys.exit("not built"))
    else:
        monkeypatch.setattr(build, "build", lambda: write(tmp_path / "fresh/_build/html/index.html", "new"))
    with pytest.raises(SystemExit) if fails else nullcontext():
        build.main()
    assert (tmp_path / "html" / "index.html").read_text(encoding="utf-8") == ("stood" if fails else "new")
    assert not (tmp_path / "former").exists()


@pytest.mark.parametrize(
    ("version", "words"), [((3, 10, 13), "3.11 or newer"), ((3, 15, 0), "3.14 or older"), ((3, 14, 7), None)]
)
def test_a_python_that_cannot_work_is_refused_in_words(monkeypatch, version, words):
    monkeypatch.setattr(sys, "version_info", version)
    if words is None:
        refuse_unfit_python()
    else:
        with pytest.raises(SystemExit, match=words):
            refuse_unfit_python()


NO_MATCH = "ERROR: No matching distribution found for numpy==99\n"
LOST = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'\n"


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (LOST + "ERROR: Could not find a version (from versions: none)\n" + NO_MATCH, "the network did not answer"),
        ("ERROR: Could not find a version (from versions: 1.0, 2.0)\n" + NO_MATCH, "does not exist for this Python"),
        (LOST + "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    Expected 00\n", "not the one that the lock names"),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", "the disk is full"),
        ("ERROR: Could not install: [Errno 13] Permission denied: '/a'\n", "cannot be written"),
        ("ERROR: Something else\n", "see above"),
    ],
)
def test_the_network_is_blamed_only_when_it_was_the_network(said, meaning):
    words = explained(said)
    assert meaning in words
    assert ("network" in words) == ("network" in meaning)
    assert [line for line in said.splitlines() if line.startswith("ERROR")][-1].removeprefix("ERROR: ") in words


def test_what_said_nothing_is_explained_too():
    assert explained("\n") == "see above."


@pytest.mark.parametrize(
    ("platform", "settings", "warns"),
    [
        ("linux", "global.cert='x'", True),
        ("linux", ":env:.extra-index-url='x'", False),
        ("linux", "global.index-url='x'", False),
        ("darwin", "", False),
    ],
)
def test_the_large_download_is_announced_where_it_can_be_avoided(monkeypatch, capsys, platform, settings, warns):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(environment, "pip", lambda folder: python(f"print({settings!r})") + ["--"])  # noqa: ARG005
    environment.warn_of_cuda(Path())
    assert ("several GB" in capsys.readouterr().out) == warns


def test_a_file_that_cannot_be_written_keeps_its_former_content(tmp_path):
    file = tmp_path / "kept"
    write(file, "former")
    with pytest.raises(UnicodeEncodeError):
        write(file, "half of it \ud800")
    assert file.read_text() == "former"
    assert list(tmp_path.iterdir()) == [file]


def test_the_folder_of_a_file_is_made_where_there_is_none(tmp_path):
    write(tmp_path / "new" / "folder" / "file", "text")
    assert (tmp_path / "new" / "folder" / "file").read_text() == "text"


def test_the_second_process_says_so_and_waits(tmp_path, capsys):
    lock = tmp_path / "lock"
    code = (
        "import time\nfrom pathlib import Path\nfrom tools.writing import alone\n"
        f"with alone(Path({str(lock)!r}), ''): print('holds', flush=True); time.sleep(1)"
    )
    with subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with alone(lock, "Wait."):
            assert first.wait(1) == 0
    assert capsys.readouterr().out == "Wait.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a child inherits no lock there")
def test_a_killed_process_holds_the_lock_until_its_child_has_ended(tmp_path, capsys):
    lock, written = tmp_path / "lock", tmp_path / "written"
    child = f"import time, pathlib; print('runs', flush=True); time.sleep(1); pathlib.Path({str(written)!r}).touch()"
    code = (
        "import sys\nfrom pathlib import Path\nfrom tools.environment import run\nfrom tools.writing import alone\n"
        f"with alone(Path({str(lock)!r}), '') as lock: run('child', [sys.executable, '-c', {child!r}], lock)"
    )
    with subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        first.send_signal(signal.SIGKILL)
        with alone(lock, "Wait."):
            assert written.exists()
    assert capsys.readouterr().out == "Wait.\n"


def test_an_older_python_can_read_the_sentence_that_refuses_it():
    for name in ("environment", "writing"):
        ast.parse((ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 7))
