"""The rules of a chapter, as checks on the notebook's JSON. `make check` prints what breaks them."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

from tools.notebooks import STATE, VIEW, references
from tools.repository import INSTALL_TAG, badge, install_cell, name_of, notebook_paths

Cell = dict[str, Any]
Notebook = dict[str, Any]

MAX_MEDIAN_LINES, MAX_CELL_LINES, MAX_CHAPTER_LINES = 6, 15, 150
MIN_WORDS_PER_LINE, MAX_DEFINITIONS, MAX_IMPORT_LINES = 8, 3, 12
MIN_ALT = 40
TAGS = {INSTALL_TAG, "hide-input", "remove-input", "remove-output", "remove-cell", "solution"}
FRAME = {
    "a first line '# Number Title'": r"\A# \d+ ",
    "its time, '... minutes'": r"\d+ minutes",
    "key points, '## Key points'": r"^## Key points",
    "a heading 'Sources'": r"^#+ Sources",
}
MAX_WORDS, MAX_PREDICTIONS = 2000, 3
PREDICTION = r":\*\*[^\n]+\?\n\n- \(a\) [^\n]+\n- \(b\) [^\n]+\n- \(c\) [^\n]+"
CHANGE_ME = r"^# Change me"
FORBIDDEN_CODE = {
    "a trailing semicolon": r";[ \t]*$",
    "clear_output": r"\bclear_output\b",
    "a display update": r"\bdisplay_id\b|\bupdate_display\b",
    "an Output widget": r"\bOutput\(",
    "interact": r"\binteract(ive|ive_output)?\b",
    "a magic or shell line": r"^\s*[%!]",
    "a warning filter": r"\bfilterwarnings\b|\bsimplefilter\b|\bcatch_warnings\b",
    "sys.path": r"\bsys\.path\b",
    "a global seed": r"\btorch\.manual_seed\b|\brandom\.seed\b",
    "def main()": r"\bdef main\b",
}
MYST = r"^\s*:::|^\s*```+\s*\{|\{[a-zA-Z][\w:+-]*\}`"
ABSOLUTE_PATH = r"(?<![\w.:/-])/(home|root|tmp|usr|opt|work|var|mnt|content|Users|private)/|\b[A-Z]:\\\\?\w"
ALT = re.compile(r'<img\b[^>]*?\balt="([^"]*)"')


def source(cell: Cell) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


def tags(cell: Cell) -> set[str]:
    """Return the tags of a cell."""
    return set(cell["metadata"].get("tags", []))


def code_lines(cell: Cell) -> int:
    """Count the lines that are neither empty nor a comment."""
    return sum(1 for line in source(cell).splitlines() if line.strip() and not line.strip().startswith("#"))


def output_texts(cell: Cell) -> Iterator[str]:
    """Return everything readable in the outputs of a cell, embedded images left out."""
    for output in cell.get("outputs", []):
        for kind, text in [("text/plain", output.get("text", "")), *output.get("data", {}).items()]:
            if kind.startswith("text/"):
                yield re.sub(r"data:[\w/+-]+;base64,[A-Za-z0-9+/=]+", "", "".join(text))


def pictures(cell: Cell) -> int:
    """Count the figures of a cell: images, and flipbooks as one each."""
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    images = sum("image/png" in d or "image/jpeg" in d for d in data)
    return images + sum("".join(d.get("text/html", "")).count("<figure") for d in data)


def alts(cell: Cell) -> list[str]:
    """Return the alternative texts of a cell's figures: of the metadata, and of each frame."""
    found = ALT.findall("\n".join("".join(text) for text in html_outputs(cell)))
    if any("image/png" in o.get("data", {}) or "image/jpeg" in o.get("data", {}) for o in cell["outputs"]):
        found.append(cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", ""))
    return found


def html_outputs(cell: Cell) -> list[str]:
    """Return the HTML outputs of a cell."""
    return ["".join(o.get("data", {}).get("text/html", "")) for o in cell.get("outputs", [])]


def tree(cell: Cell) -> ast.Module:
    """Parse a code cell; one that does not parse (a magic line) counts as empty."""
    try:
        return ast.parse(source(cell))
    except SyntaxError:
        return ast.parse("")


def has(cell: Cell, *kinds: type[ast.AST]) -> int:
    """Count the statements of some kinds in a code cell."""
    return sum(isinstance(node, kinds) for node in ast.walk(tree(cell)))


def claims(cell: Cell) -> int:
    """Count the claims of a code cell."""
    calls = [node.func for node in ast.walk(tree(cell)) if isinstance(node, ast.Call)]
    return sum(isinstance(name, ast.Name) and name.id == "expect" for name in calls)


def code_cells(notebook: Notebook) -> list[Cell]:
    """Return the code cells but for the install cell."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if INSTALL_TAG not in tags(cell)]


def prose(notebook: Notebook) -> str:
    """Return the text of all Markdown cells."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join(source(cell) for cell in cells)


def execution_problems(notebook: Notebook) -> Iterator[str]:
    """Check that every code cell ran, in order, and said nothing on the error stream."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    counts = [cell.get("execution_count") for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield f"the code cells are not executed in order 1..{len(cells)}: {counts} (run `make notebooks`)"
    for number, cell in enumerate(cells, start=1):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                yield f"code cell {number} writes on stderr"
            if output["output_type"] == "error":
                yield f"code cell {number} stores an error"
            if "image/svg+xml" in output.get("data", {}):
                yield f"code cell {number} stores an svg, whose ids differ from run to run"
        for text in output_texts(cell):
            if re.search(r"\b\w*Warning\b", text):
                yield f"code cell {number} shows a warning"
            if re.search(ABSOLUTE_PATH, text):
                yield f"code cell {number} shows an absolute path"
            if re.search(r"\bat 0x[0-9a-f]+", text):
                yield f"code cell {number} shows the address of an object"


def code_problems(notebook: Notebook) -> Iterator[str]:
    """Check what code may not contain, and how much of it there is."""
    cells = code_cells(notebook)
    for number, cell in enumerate(cells, start=2):
        for name, pattern in FORBIDDEN_CODE.items():
            if re.search(pattern, source(cell), re.MULTILINE):
                yield f"code cell {number} contains {name}"
        if re.search(ABSOLUTE_PATH, source(cell)):
            yield f"code cell {number} contains an absolute path"
        if not tags(cell) & {"hide-input", "remove-input"} and code_lines(cell) > MAX_CELL_LINES:
            yield f"code cell {number} has {code_lines(cell)} lines of code, at most {MAX_CELL_LINES}"
        if tags(cell) - TAGS:
            yield f"code cell {number} has tags other than {sorted(TAGS)}: {sorted(tags(cell) - TAGS)}"
        if "solution" in tags(cell) and "hide-input" not in tags(cell):
            yield f"code cell {number} is a solution without the tag hide-input that folds it"
    # Folded cells, solutions and the wiring of controls, are not part of the story.
    story = [cell for cell in cells if not tags(cell) & {"hide-input", "remove-input"}]
    lines = [code_lines(cell) for cell in story] or [0]
    if median(lines) > MAX_MEDIAN_LINES:
        yield f"the median code cell has {median(lines):g} lines, at most {MAX_MEDIAN_LINES}"
    if sum(lines) > MAX_CHAPTER_LINES:
        yield f"the chapter has {sum(lines)} lines of code, at most {MAX_CHAPTER_LINES}"
    words = len(prose(notebook).split())
    if words < MIN_WORDS_PER_LINE * sum(lines):
        yield f"{words} words for {sum(lines)} lines of code, at least {MIN_WORDS_PER_LINE} a line"
    definitions = sum(has(cell, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef) for cell in story)
    if definitions > MAX_DEFINITIONS:
        yield f"{definitions} definitions, at most {MAX_DEFINITIONS}"
    set_up = [node for cell in cells[:1] for node in tree(cell).body]
    imports = [node for node in set_up if isinstance(node, ast.Import | ast.ImportFrom)]
    import_lines = sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in imports)
    if import_lines > MAX_IMPORT_LINES:
        yield f"the set-up cell has {import_lines} import lines, at most {MAX_IMPORT_LINES}"


def figure_problems(notebook: Notebook) -> Iterator[str]:
    """Check that each figure has an alternative text of its own and a check of its numbers."""
    cells = code_cells(notebook)
    seen: set[str] = set()
    for number, cell in enumerate(cells, start=2):
        if pictures(cell) == 0:
            continue
        if pictures(cell) > 1:
            yield f"code cell {number} draws {pictures(cell)} figures, one at most"
        for alt in alts(cell):
            if len(alt) < MIN_ALT:
                yield f"code cell {number}: an alt text has fewer than {MIN_ALT} characters: '{alt}'"
            if alt in seen:
                yield f"code cell {number} repeats an alt text: '{alt}'"
            seen.add(alt)
        following = cells[number - 1 : number]
        if not any(has(cell, ast.Assert) or claims(cell) for cell in following):
            yield f"code cell {number} draws a figure, and the next code cell checks nothing"


def text_problems(notebook: Notebook) -> Iterator[str]:
    """Check that the Markdown reads the same in Colab."""
    text = prose(notebook)
    if re.search(MYST, text, re.MULTILINE):
        yield "a Markdown cell holds a MyST directive or role, which Colab shows raw"
    if re.search(ABSOLUTE_PATH, text):
        yield "a Markdown cell contains an absolute path"
    if any("```python" in block for block in re.findall(r"<details>.*?</details>", text, re.DOTALL)):
        yield "Python inside <details> is not executed: make it a code cell tagged hide-input and solution"
    if re.search(r"<img|!\[[^\]]*\]\(\s*https?:", text):
        yield "a Markdown cell shows an image: no remote images, and local ones have no place in Colab"


def prediction_problems(notebook: Notebook) -> Iterator[str]:
    """Check the form of predictions, which the page turns into buttons (book/site_root/predict.js)."""
    pieces = re.split(r"\*\*Predict", prose(notebook))[1:]
    if len(pieces) > MAX_PREDICTIONS:
        yield f"the chapter asks for {len(pieces)} predictions, at most {MAX_PREDICTIONS}"
    for piece in pieces:
        if not re.match(PREDICTION, piece, re.DOTALL):
            yield f"a prediction is no question with options '- (a)', '- (b)', '- (c)': '{piece[:60]}'"
        if "<summary>Answer</summary>" not in piece:
            yield f"a prediction has no fold 'Answer': '{piece[:60]}'"


def promise_problems(notebook: Notebook) -> Iterator[str]:
    """Check what a chapter promises: short, few predictions, a knob, no assert in a reader's way."""
    words = len(prose(notebook).split())
    if words > MAX_WORDS:
        yield f"the chapter has {words} words, at most {MAX_WORDS}"
    if not re.search(r"^\*\*[A-Z]", source(notebook["cells"][0]), re.MULTILINE):
        yield "the first cell does not give its answer, a paragraph that begins in bold"
    cells = code_cells(notebook)
    if not any(re.search(CHANGE_ME, source(cell), re.MULTILINE) for cell in cells):
        yield "no code cell begins with '# Change me'"
    for number, cell in enumerate(cells, start=2):  # as Jupyter shows it: the install cell is the first
        if has(cell, ast.Assert):
            yield f"code cell [{number}] asserts: use expect(sentence, condition)"


def frame_problems(notebook: Notebook) -> Iterator[str]:
    """Check the frame of a chapter."""
    text = prose(notebook)
    for name, pattern in FRAME.items():
        if not re.search(pattern, text, re.MULTILINE):
            yield f"the chapter lacks {name}"
    exercises = re.split(r"^#+ (?=.*Exercise\b)", text, flags=re.MULTILINE)[1:]
    if len(exercises) < 2:
        yield f"{len(exercises)} headings 'Exercise', at least 2"
    for exercise in exercises:
        if "<details>" not in exercise:
            yield f"no folded solution, <details>, beside '{exercise.splitlines()[0]}'"


def number_problems(notebook: Notebook, name: str) -> Iterator[str]:
    """Check that title and captions carry the number of the file."""
    number = name.split("_")[0].lstrip("0")
    numbered = re.findall(r"(?m)(\A# (\d+)|^\*Figure (\d+)\.\w+)", prose(notebook))
    for words, *numbers in numbered:
        if number not in numbers:
            yield f"'{words}' stands in chapter {number}"


def chapter_problems(notebook: Notebook, name: str) -> Iterator[str]:
    """Check what only chapters must have."""
    yield from number_problems(notebook, name)
    yield from frame_problems(notebook)
    yield from promise_problems(notebook)
    yield from prediction_problems(notebook)


def launch_problems(notebook: Notebook, name: str) -> Iterator[str]:
    """Check the launch link and the install cell."""
    if badge(name) not in prose(notebook):
        yield f"no launch link {badge(name)} (run `make address`)"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if not code or INSTALL_TAG not in tags(code[0]) or source(code[0]) != install_cell():
        yield f"the first code cell is not the install cell with tag {INSTALL_TAG} (run `make address`)"
    elif code[0].get("outputs"):
        yield "the install cell stores outputs"


def widget_problems(notebook: Notebook) -> Iterator[str]:
    """Check that the stored state draws every control, disabled, beside the words that say why."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    views = [output["data"][VIEW]["model_id"] for output in outputs if VIEW in output.get("data", {})]
    widgets = notebook["metadata"].get("widgets", {})
    state = widgets.get(STATE, {}).get("state", {})
    if (widgets or views) and not state:
        yield "metadata.widgets has no state: the page draws nothing, and GitHub says Invalid Notebook"
    for view in views:
        if view not in state:
            yield f"no stored state for the widget {view}"
        elif not any("needs-kernel" in state[m]["state"].get("_dom_classes", []) for m in below(state, view)):
            yield f"the widget {view} has no text of class needs-kernel for the page without a kernel"
    if any(model["state"].get("disabled") is False for model in state.values()):
        yield "a stored control is not disabled, though a page has no kernel (run `make notebooks`)"
    if any(re.search(r"^Output", model.get("model_name", "")) for model in state.values()):
        yield "an Output widget is stored"


def below(state: Notebook, root: str) -> set[str]:
    """Return a widget and all that it holds."""
    found, waiting = set(), [root]
    while waiting:
        model = waiting.pop()
        if model in state and model not in found:
            found.add(model)
            waiting += references(state[model])
    return found


def problems(notebook: Notebook, name: str) -> list[str]:
    """Return every broken rule of the notebook ``name``, in words; a page of the book needs no chapter's frame."""
    return [
        *execution_problems(notebook),
        *code_problems(notebook),
        *figure_problems(notebook),
        *text_problems(notebook),
        *([] if name.startswith("book/") else chapter_problems(notebook, name)),
        *launch_problems(notebook, name),
        *widget_problems(notebook),
    ]


def main() -> None:
    """Print the problems of all notebooks; fail if there is one."""
    paths = notebook_paths()
    found = [
        f"{path.name}: {problem}"
        for path in paths
        for problem in problems(json.loads(path.read_text(encoding="utf-8")), name_of(path))
    ]
    print("\n".join(found) or f"{len(paths)} notebooks keep the rules.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
