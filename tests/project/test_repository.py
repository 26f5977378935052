"""What several files repeat agrees, and what they point to exists."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import repository
from tools.lock import OF_TORCH, pins
from tools.repository import Repository, badge, current, name_of, notebook_paths, parsed, version

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
PINS = [block.split(" \\")[0] for block in LOCK.values()]
TORCH = (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8")
NOTEBOOKS = notebook_paths()
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("book/*.md")), ROOT / "CITATION.cff", *NOTEBOOKS]

COLAB = re.compile(r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)/blob/([^/]+)/([\w./]+)")


def canonical(pin):
    name, version = pin.split("==")
    return f"{canonicalize_name(name)}=={version}"


def toc_files():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def test_the_configuration_repeats_the_address_and_the_version():
    settings = {
        key: str(value).lower() for part in CONFIG.values() if isinstance(part, dict) for key, value in part.items()
    }
    wanted = {key: value.strip('"').lower() for key, value in current().settings.items()}
    assert {key: settings[key] for key in wanted} == wanted
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["repository-code"], citation["version"]) == (current().address, version())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_link_to_the_repository_or_to_colab_uses_the_address_and_a_file_of_the_tree(path):
    text = path.read_text(encoding="utf-8")
    for slug, branch, file in COLAB.findall(text):
        assert f"https://github.com/{slug}" == current().address
        assert branch == repository.BRANCH
        assert (ROOT / file).is_file()
    for name in re.findall(r"github\.com/([\w-]+/robustness-tutorial)", text):
        assert f"https://github.com/{name}" == current().address


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://github.com/owner/name/",
        "https://user:secret@github.com/owner/name.git",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name.git",
        "ssh://git@github.com:22/owner/name",
    ],
)
def test_an_address_is_read_as_people_and_git_write_it(text):
    assert parsed(text) == Repository("https://github.com/owner/name")


def test_groups_ports_and_plain_http_of_other_forges_stay():
    assert parsed("git@gitlab.com:group/part/name.git").address == "https://gitlab.com/group/part/name"
    assert parsed("http://forge.example:3000/owner/name").address == "http://forge.example:3000/owner/name"


@pytest.mark.parametrize(
    "text", ["owner/name", "https://github.com/owner", "file:///home/owner/name", "", "/srv/a.git"]
)
def test_what_is_no_address_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"^The address must look like https://github.com/owner/name, got ") as refusal:
        parsed(text)
    assert str(refusal.value).endswith(f"got {text}")


def test_what_follows_from_an_address_on_github():
    fork = Repository("https://github.com/Some-One/a.fork")
    assert fork.notebooks == "https://colab.research.google.com/github/Some-One/a.fork/blob/published/"
    assert fork.archive == "https://github.com/Some-One/a.fork/archive/refs/heads/published.tar.gz"
    assert fork.site == "https://some-one.github.io/a.fork/"
    assert Repository("https://github.com/Some-One/some-one.github.io").site == "https://some-one.github.io/"


@pytest.mark.parametrize(("host", "buttons"), [("gitlab.com", "true"), ("codeberg.org", "false")])
def test_another_forge_opens_no_colab_and_is_installed_from_by_git(host, buttons):
    other = Repository(f"https://{host}/owner/name")
    assert other.settings["colab_url"] == '""'
    assert other.settings["use_issues_button"] == buttons
    assert other.archive == f"git+https://{host}/owner/name@published"
    assert other.notebooks == f"https://{host}/owner/name#"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of all that repeats the address, and nothing else."""
    names = {"requirements.txt", "_config.yml", "tutorial_lib/__init__.py", "tools/first_cell.txt"}
    patterns = [*repository.REPEATED_IN, "notebooks/*.ipynb", "book/*.ipynb"]
    names |= {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(repository, "ROOT", tmp_path)
    return tmp_path


def contents(tree):
    return {path: path.read_text(encoding="utf-8") for path in sorted(tree.rglob("*")) if path.is_file()}


def test_no_trace_of_the_old_address_stays_and_the_way_back_leads_to_the_same_files(tree):
    before = contents(tree)
    first = current().address
    old = first.removeprefix("https://github.com/")
    for new in ["https://github.com/a-fork/of-it", "https://gitlab.com/a/group/name", "https://codeberg.org/o/n"]:
        repository.main(["address", f"{new}.git"])
        assert current().address == new
        assert not [path.name for path, text in contents(tree).items() if old in text or "your_organization" in text]
        colab = [
            path.name for path, text in contents(tree).items() if "colab.research" in text and path.suffix != ".txt"
        ]
        assert bool(colab) == ("github" in new)
    repository.main(["address", first])
    assert contents(tree) == before


def test_stamping_takes_the_address_of_the_remote_and_a_version_that_counts_as_newer(tree, monkeypatch):
    answers = {"remote": "git@github.com:a-fork/of-it.git", "log": "202611271030"}
    monkeypatch.setattr(repository, "git", lambda command, *_: answers[command])
    plain = version().split(".post")[0]  # this tree may be a stamped one
    for _ in range(2):  # a second stamp changes nothing
        repository.main(["stamp"])
        assert current().address == "https://github.com/a-fork/of-it"
        assert version() == f"{plain}.post202611271030"
    cell = repository.install_cell()
    assert f'print("Installed tutorial_lib {version()}.")' in cell
    assert f"< [{plain.replace('.', ', ')}, 202611271030]:" in cell
    assert cell in "".join(json.loads((tree / "notebooks" / "07_bounds.ipynb").read_text())["cells"][1]["source"])


def test_what_is_pushed_stands_on_what_was_published_and_twice_the_same_is_pushed_once(tmp_path, monkeypatch, capsys):
    bare, clone = tmp_path / "bare.git", tmp_path / "clone"
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "nobody")
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    subprocess.run(["git", "clone", "--quiet", bare, clone], check=True, capture_output=True)
    monkeypatch.setattr(repository, "ROOT", clone)
    (clone / "tutorial_lib").mkdir()
    for name in ("pyproject.toml", "tutorial_lib/__init__.py"):
        shutil.copy(ROOT / name, clone / name)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "source")
    for text in ("first", "first", "second"):
        (clone / "stamped").write_text(text, encoding="utf-8")
        repository.push()
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert words == ["Pushed", "The", "Pushed"]
    repository.git("fetch", "origin", repository.BRANCH)
    assert repository.git("show", "FETCH_HEAD:stamped") == "second"
    first, source = repository.git("log", "-1", "--format=%P", "FETCH_HEAD").split()
    assert repository.git("show", f"{first}:stamped") == "first"
    assert source == repository.git("rev-parse", "HEAD")


@pytest.mark.parametrize("name", toc_files())
def test_every_page_of_the_contents_exists(name):
    assert any((ROOT / f"{name}{ending}").is_file() for ending in (".md", ".ipynb"))


def test_every_notebook_is_in_the_contents():
    names = [f"{path.parent.name}/{path.stem}" for path in NOTEBOOKS]
    listed = [f for f in toc_files() if (ROOT / f"{f}.ipynb").is_file()]
    assert sorted(names) == sorted(listed)
    chapters = [name for name in listed if name.startswith("notebooks/")]
    assert chapters == sorted(chapters)


def test_the_header_button_leads_to_the_same_place_as_the_badge():
    button = f"{CONFIG['launch_buttons']['colab_url']}/github/"
    assert current().notebooks.startswith(button) == current().opens_in_colab
    for path in NOTEBOOKS:
        assert badge(name_of(path)) in path.read_text(encoding="utf-8")


def test_all_notebooks_share_one_first_cell():
    notebooks = [json.loads(path.read_text(encoding="utf-8")) for path in NOTEBOOKS]
    firsts = [next(c for c in notebook["cells"] if c["cell_type"] == "code") for notebook in notebooks]
    assert len({"".join(cell["source"]) for cell in firsts}) <= 1


@pytest.mark.parametrize("name", ["requirements.txt", "requirements/lab.txt"])
def test_each_pin_of_a_lock_has_the_hashes_of_its_files_and_no_line_holds_anything_else(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)
    assert all("--hash=" in block for block in pins(text).values())
    assert "://" not in text


def test_torch_is_pinned_once_and_has_no_hash_that_only_one_of_its_builds_fits():
    (torch,) = [line for line in TORCH.splitlines() if not line.startswith("#")]
    assert torch == "torch==2.13.0"  # no '+': only one index knows such a version
    assert not any(OF_TORCH.match(name) for name in LOCK)


def test_the_lock_holds_every_pin_of_the_project():
    wanted = [pin for name, extra in EXTRAS.items() if name != "lab" for pin in extra if "==" in pin]
    assert {canonical(pin) for pin in wanted} <= set(PINS)
    assert {"sphinx-book-theme==1.2.0", "pydata-sphinx-theme==0.16.1"} <= set(PINS)
    assert not any(name.startswith("tutorial") for name in LOCK)


def test_what_the_lab_adds_fits_what_is_installed_already():
    lab = pins((ROOT / "requirements" / "lab.txt").read_text(encoding="utf-8"))
    assert all(line.split(" ")[0] in lab[name].split(" ")[0] for name, line in LOCK.items() if name in lab)
    assert EXTRAS["lab"] == [lab["jupyterlab"].split(" ")[0]]


def test_the_lock_is_what_is_installed_here():
    for pin in map(Requirement, PINS):
        if pin.marker is None or pin.marker.evaluate():
            assert pin.specifier.contains(metadata.version(pin.name)), f"{pin}: run make"


def test_the_lock_installs_on_the_oldest_python_that_is_promised():
    assert PROJECT["requires-python"] == ">=3.11"
    for pin in map(Requirement, PINS):
        if pin.marker is None:
            wanted = metadata.metadata(pin.name).get("Requires-Python") or ""
            assert SpecifierSet(wanted).contains("3.11.0"), f"{pin} needs Python {wanted}"


def test_the_package_asks_for_ranges_so_that_colab_keeps_what_it_has():
    packages = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"]]
    assert all(">=" in dependency for dependency in packages)


def test_the_example_of_the_readme_runs_and_says_something(capsys):
    import torch

    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(example, "README.md", "exec"), {})
    exact, measured, *report = capsys.readouterr().out.splitlines()
    mean, error = (float(part) for part in measured.split(" (n")[0].split(" ± "))
    assert abs(float(exact) - mean) < 4 * error
    assert report[0].startswith("Perturbation stability P / radius = ")


def test_the_worked_formula_of_the_guide_passes_its_own_tests(generator):
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("**A formula.**")[1].split("**A chapter.**")[0]
    function, tests = re.findall(r"^   ```python\n(.*?)^   ```", guide, re.DOTALL | re.MULTILINE)[:2]
    names = vars(import_module("tutorial_lib.exact")) | vars(import_module("tests.test_exact"))
    exec(compile(dedent(function), "CONTRIBUTING.md", "exec"), names)
    exec(compile(dedent(tests), "CONTRIBUTING.md", "exec"), names)
    names["test_mean_square_output_worked_out_by_hand"]()
    names["test_mean_square_output_is_the_mean_over_random_networks"](generator)


def test_the_package_alone_needs_nothing_of_the_book():
    names = {re.split("[>=<]", dependency)[0] for dependency in PROJECT["dependencies"]}
    assert names == {"torch", "numpy", "scipy", "jaxtyping", "tqdm"}
