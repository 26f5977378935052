"""Mutation tests: does a module's own test file notice small faults in that module?

`python -m tools.mutate [MODULE ...]`, through `make mutate`; every module of MODULES without a name. mutmut works in
.mutation, one module after another: a mutant meets the tests and doctests of its module until the first failure.
tests/mutants.json takes counts, score and survivors of each module as soon as they are known, and CONTRIBUTING.md
the scores. A survivor that changes nothing is given its reason by hand there, as "equivalent": it is kept as long as
the change is the same, and leaves the score. What UNSEEN names is given its reason by itself.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".mutation"
FILE = ROOT / "tests" / "mutants.json"
GUIDE = ROOT / "CONTRIBUTING.md"
# As paths inside the package: images/attacks is tested by tests/images/test_attacks.py.
MODULES = (
    *("exact", "bounds", "gaussians", "kernels", "lazy_limit", "stability", "estimates"),
    *("training", "laziness", "phase_diagram", "images/attacks", "gradient_flow", "exact_variants", "slopes"),
)
# Not the options of the package: jaxtyping's import hook refuses a package that is imported already, mutmut gets 255
# and calls every mutant a timeout: a perfect score. Doctests: each mutant repeats the docstring; one is enough.
PYTEST = ["-o", "addopts=--strict-markers --strict-config --doctest-modules", "-k", "not __mutmut_"]
SETTINGS: dict[str, Any] = {
    "source_paths": ["tutorial_lib"],
    "also_copy": ["conftest.py"],
    "pytest_add_cli_args": [*PYTEST, "-p", "no:cacheprovider", "-p", "no:benchmark"],
    # A process that has imported everything forks for each mutant; caches, which it would hand on, are taken out.
    "process_isolation": "fork",
    "timeout_multiplier": 5.0,
    "timeout_constant": 10.0,
    "use_git_change_detection": False,
    "track_dependencies": False,
    # Texts of errors and of progress bars: an expression that begins on such a line is left alone, all of it.
    "do_not_mutate_patterns": [r"^\s*raise \w+\(", r"\bprogress\("],
}
ENVIRONMENT = os.environ | {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
    **{"TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"},
}
# Arguments that no test on one device can see changed, each with the reason.
UNSEEN = {
    "strict= guards against lengths that cannot differ": r"strict=\w+",
    "there is one device where mutants run": r"device=[\w.]+",
}
# Exit codes of pytest and of the timer; any other (2-5: an accident of pytest) is no kill.
OUTCOMES = {0: "survived", 1: "killed", 33: "not reached", 36: "timeout", 24: "timeout", 152: "timeout", -24: "timeout"}


def prepare(module: str) -> None:
    """Fill WORK with the package, its tests and the settings for one module."""
    shutil.rmtree(WORK, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", "vendor", "benchmarks")
    for folder in ("tutorial_lib", "tests"):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=unwanted)
    shutil.copy2(ROOT / "conftest.py", WORK)
    source = f"tutorial_lib/{module}.py"
    # mutmut leaves decorated functions alone, and a cache would hand true numbers on to a mutant.
    text = (WORK / source).read_text(encoding="utf-8")
    (WORK / source).write_text(re.sub(r"^@(lru_)?cache\b.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    parts = module.split("/")
    tests = "/".join(["tests", *parts[:-1], f"test_{parts[-1]}.py"])
    chosen = SETTINGS | {"only_mutate": [source], "pytest_add_cli_args_test_selection": [tests, source]}
    # Strings, numbers, truth values and lists of strings are written alike in JSON and TOML.
    lines = ["\n[tool.mutmut]", *(f"{key} = {json.dumps(value)}" for key, value in chosen.items()), ""]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (WORK / "pyproject.toml").write_text(project + "\n".join(lines), encoding="utf-8")


def mutmut(*arguments: str) -> str:
    """Run mutmut in WORK and return what it prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=WORK, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
    return done.stdout


def change(mutant: str) -> list[str]:
    """Return the lines that a mutant takes away and those that it puts in their place."""
    lines = mutmut("show", mutant).splitlines()
    return [line for line in lines if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]


def unseen(change: list[str]) -> str | None:
    """Return why no test can see this change, if only an argument of UNSEEN differs."""
    for reason, argument in UNSEEN.items():
        rest = [re.sub(r"[,\s]+\)", ")", re.sub(rf"(, )?{argument}", "", line)) for line in change]
        if [line[1:] for line in rest if line[0] == "-"] == [line[1:] for line in rest if line[0] == "+"]:
            return reason
    return None


def never_mutated(module: str) -> list[str]:
    """Name the functions that mutmut passes over, because they are decorated."""
    tree = ast.parse((WORK / f"tutorial_lib/{module}.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.decorator_list]
    plain = {"classmethod", "staticmethod"}
    return [f.name for f in functions if not {ast.unparse(decorator) for decorator in f.decorator_list} <= plain]


def outcome_of(module: str, children: int, reasons: dict[str, str]) -> dict[str, Any]:
    """Mutate one module and return how its mutants fared; ``reasons`` are those of known equivalent changes."""
    prepare(module)
    start = time.perf_counter()
    mutmut("run", "--max-children", str(children))
    seconds = time.perf_counter() - start
    meta = json.loads((WORK / f"mutants/tutorial_lib/{module}.py.meta").read_text(encoding="utf-8"))
    outcomes = {mutant: OUTCOMES.get(code, f"exit {code}") for mutant, code in meta["exit_code_by_key"].items()}
    left = {m: change(m) for m, outcome in outcomes.items() if outcome not in ("killed", "timeout")}
    survivors = [
        {"in": m.split(".")[-1].split("__mutmut_")[0], "outcome": outcomes[m], "change": lines}
        | ({"equivalent": reason} if (reason := reasons.get(str(lines)) or unseen(lines)) else {})
        for m, lines in left.items()
    ]
    return scored(
        {
            "mutants": len(outcomes),
            **dict(sorted(Counter(outcomes.values()).items())),
            "seconds": round(seconds),
            "never mutated": never_mutated(module),
            "survivors": survivors,
        }
    )


def scored(outcome: dict[str, Any]) -> dict[str, Any]:
    """Add the share of the mutants that are found out, of those that change what the module does."""
    equivalent = sum("equivalent" in survivor for survivor in outcome["survivors"])
    found = outcome.get("killed", 0) + outcome.get("timeout", 0)
    return outcome | {"equivalent": equivalent, "score": round(found / (outcome["mutants"] - equivalent), 3)}


def store(outcomes: dict[str, Any]) -> None:
    """Write all outcomes, and the scores into the table of CONTRIBUTING.md."""
    text = json.dumps(dict(sorted(outcomes.items())), indent=1, ensure_ascii=False)
    FILE.write_text(text + "\n", encoding="utf-8")
    rows = [
        f"| {module} | {outcome['mutants']} | {outcome['equivalent']} | {outcome['score']:.1%} |"
        for module, outcome in sorted(outcomes.items())
    ]
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition("| module | mutants |")
    after = rest[rest.index("\n\n") :]
    table = ["| module | mutants | equivalent | found by its tests |", "|---|---|---|---|", *rows]
    GUIDE.write_text(before + "\n".join(table) + after, encoding="utf-8")


def main(names: list[str]) -> None:
    """Mutate the named modules, or all, and store the outcome of each as soon as it is known."""
    for name in names or MODULES:
        stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        known = stored.get(name, {}).get("survivors", [])
        reasons = {str(one["change"]): one["equivalent"] for one in known if "equivalent" in one}
        stored[name] = outcome_of(name, int(os.environ.get("MUTATE_CHILDREN", "2")), reasons)
        store(stored)
        print(name, {key: value for key, value in stored[name].items() if key != "survivors"}, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
