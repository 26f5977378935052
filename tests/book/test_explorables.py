"""The explorables as Python sees them: what a cell shows, and data that are those of the package."""

from importlib.resources import files

import pytest

from tools import explorables as tool
from tutorial_lib.book.explorables import STILLS, element, scripts_of, show

EVERY = pytest.mark.parametrize("name", list(STILLS))
MAX_SCRIPT = 60_000


@EVERY
def test_the_repository_stores_a_short_output_and_a_reader_gets_the_scripts(name, monkeypatch):
    monkeypatch.setenv("TUTORIAL_LIB_STRICT", "1")
    assert show(name).data == element(name) and "<script" not in element(name)
    monkeypatch.delenv("TUTORIAL_LIB_STRICT")
    text = show(name).data
    assert text.startswith(element(name)) and text.count("<script>") == len(scripts_of(name))


def test_an_unknown_explorable_is_refused():
    with pytest.raises(ValueError, match="^name must be one of collapse.*, got 'expand'$"):
        element("expand")


@EVERY
def test_scripts_are_small_and_fetch_nothing(name):
    for script in scripts_of(name):
        assert len(script.encode()) <= MAX_SCRIPT
        assert "</script" not in script and "import(" not in script and "fetch(" not in script
        assert "http" not in script.replace("http://www.w3.org/2000/svg", "")


@EVERY
def test_a_still_picture_stands_in_with_words(name):
    still = (files("tutorial_lib.book") / "site_root" / "explorables" / f"{name}.png").read_bytes()
    assert still.startswith(b"\x89PNG") and len(still) < 100_000
    assert len(STILLS[name]) >= 40 and f'alt="{STILLS[name]}"' in element(name)


@pytest.mark.parametrize("name", list(tool.DATA))
def test_the_data_are_those_that_the_package_holds(name):
    assert tool.script(name, tool.DATA[name]()) in scripts_of(name)
