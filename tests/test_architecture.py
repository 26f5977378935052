"""The package keeps its import table, loads torch only where it must, and leaves no trace."""

import ast
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tutorial_lib

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tutorial_lib"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

# Each module may import those on the levels below that it names; a permission that is not used is an error.
LEVELS: list[dict[str, set[str]]] = [
    {
        "arguments": set(),
        "tensors": set(),
        "progress": set(),
        "book.claims": set(),
        "book.verdicts": {"arguments", "book.claims"},
        "book.digit_network": set(),
        "book.explorables": {"arguments"},
    },
    {
        "architecture": {"arguments"},
        "estimates": {"arguments"},
        "randomness": {"arguments"},
        "modules": {"tensors"},
        "gaussians": {"arguments", "tensors"},
        "perturbations": {"arguments", "tensors"},
        "images.transformations": {"arguments", "tensors"},
        "images.networks": {"arguments", "tensors"},
        "book.data": {"arguments"},
    },
    {"initializations": {"architecture", "arguments"}, "book.plotting": {"estimates"}},
    {
        "exact": {"architecture", "arguments", "initializations"},
        "kernels": {"architecture", "arguments", "initializations", "tensors"},
        "models": {"architecture", "arguments", "initializations", "tensors"},
        "images.attacks": {"arguments", "images.transformations", "modules", "perturbations", "tensors"},
        "book.widgets": {"arguments", "book.plotting"},
    },
    {
        "bounds": {"architecture", "arguments", "exact", "initializations"},
        "exact_variants": {"architecture", "arguments", "exact", "initializations"},
        "stability": {
            *("arguments", "estimates", "exact", "gaussians", "models", "modules", "perturbations", "tensors"),
        },
        "laziness": {"arguments", "kernels", "models", "tensors"},
        "training": {"arguments", "initializations", "kernels", "models", "progress", "tensors"},
        "lazy_limit": {
            *("architecture", "arguments", "estimates", "exact", "gaussians", "initializations", "kernels", "tensors"),
        },
    },
    {
        "reports": {
            "arguments",
            "estimates",
            "models",
            "modules",
            "perturbations",
            "progress",
            "randomness",
            "stability",
            "tensors",
        },
        "gradient_flow": {"arguments", "models", "progress", "training"},
        "random_features": {"arguments", "models", "perturbations", "stability", "tensors"},
        "slopes": {"arguments", "models", "perturbations", "stability"},
        "images.classifiers": {
            *("arguments", "images.attacks", "images.transformations", "progress", "tensors", "training"),
        },
        "book.experiments": {
            *("architecture", "arguments", "book.data", "estimates", "exact", "initializations", "laziness"),
            *("lazy_limit", "models", "randomness", "stability", "tensors", "training"),
        },
    },
    {
        "phase_diagram": {
            *("architecture", "arguments", "gradient_flow", "initializations", "laziness", "models"),
            *("randomness", "tensors"),
        },
        "book.equal_loss": {
            *("arguments", "book.data", "book.experiments", "estimates", "gradient_flow", "laziness", "models"),
            *("progress", "randomness", "stability", "training"),
        },
        "book.silent_start": {
            *("arguments", "book.data", "book.experiments", "estimates", "gradient_flow", "laziness", "models"),
            *("phase_diagram", "randomness", "stability", "training"),
        },
    },
    {
        "book.debate": {
            *("architecture", "book.data", "book.experiments", "estimates", "gradient_flow", "initializations"),
            *("models", "perturbations", "random_features", "randomness", "slopes", "stability", "training"),
        },
        "book.own_networks": {
            *("book.data", "images.attacks", "images.classifiers", "images.networks", "images.transformations"),
            *("estimates", "perturbations", "randomness", "reports", "stability"),
        },
    },
    {
        "book.results": {
            "book.debate",
            "book.equal_loss",
            "book.experiments",
            "book.own_networks",
            "book.silent_start",
            "estimates",
        }
    },
]
MAY_IMPORT = {module: allowed for level in LEVELS for module, allowed in level.items()}
WITHOUT_TORCH = [
    *("architecture", "arguments", "initializations", "estimates", "exact", "exact_variants", "bounds"),
    *("book.claims", "book.plotting", "book.verdicts", "book.widgets"),
]
OF_THE_BOOK = {"matplotlib", "ipywidgets", "sklearn", "IPython", "PIL"}


def name_of(path):
    """Name of a module inside the package, such as images.attacks."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(path):
    """Modules of the package that one file imports, whatever the form of the import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path.name}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        inside = [name.split(".")[1:] for name in names if name.startswith("tutorial_lib.")]
        found |= {".".join(parts[: 2 if parts[0] in ("images", "book") else 1]) for parts in inside}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_are_those_of_the_table(path):
    assert imports_of(path) == MAY_IMPORT[name_of(path)]


def test_every_form_of_import_is_seen(tmp_path):
    forms = [
        "import tutorial_lib.book.data",
        "from tutorial_lib import exact",
        "from tutorial_lib.models import ReLUMLP",
        "from tutorial_lib.images import attacks",
    ]
    file = tmp_path / "module.py"
    file.write_text("\n".join([*forms, "def f():\n    import tutorial_lib.bounds as b\n"]))
    assert imports_of(file) == {"book.data", "exact", "models", "images.attacks", "bounds"}


def test_imports_point_down():
    below = set()
    for level in LEVELS:
        # Within a level only the book's and the images' modules stand on each other.
        assert all(allowed - set(level) <= below for allowed in level.values())
        below |= set(level)
    assert below == {name_of(path) for path in MODULES}


def test_the_core_knows_neither_the_book_nor_images():
    core = {module: allowed for module, allowed in MAY_IMPORT.items() if "." not in module}
    assert not any("." in name for allowed in core.values() for name in allowed)


def test_the_core_and_images_need_no_package_of_the_book():
    for path in MODULES:
        if not name_of(path).startswith("book."):
            roots = {
                (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            }
            assert not roots & OF_THE_BOOK, path


def run_python(program):
    """Run a program in a fresh process and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_formulas_and_figures_do_not_load_torch():
    program = f"""
import importlib, sys
for name in {WITHOUT_TORCH}:
    importlib.import_module("tutorial_lib." + name)
    assert "torch" not in sys.modules, name
print(sys.modules["tutorial_lib"].__file__)
"""
    assert Path(run_python(program)).parent == PACKAGE


def global_state():
    """Everything global that a library could change under its reader's feet."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [
        torch.get_rng_state().tolist(),
        (name, keys.tolist(), *rest),
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        np.geterr(),
    ]


def test_public_names_are_those_of_the_table_and_load_one_by_one():
    # The table, the imports for type checkers and the modules agree; a formula loads no torch.
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {alias.name: node.module for node in block.body for alias in node.names}
    assert for_checkers == {name: f"tutorial_lib.{module}" for name, module in tutorial_lib._MODULE_OF.items()}
    assert sorted(tutorial_lib.__all__) == sorted(for_checkers)
    for name in tutorial_lib.__all__:
        assert getattr(tutorial_lib, name).__module__ == for_checkers[name]
    assert set(tutorial_lib.__all__) <= set(dir(tutorial_lib))
    with pytest.raises(AttributeError, match="module 'tutorial_lib' has no attribute 'robustness'"):
        tutorial_lib.robustness  # noqa: B018
    names = "Architecture, he, initial_perturbation_stability, lazy_rate, Estimate"
    program = f"import sys; from tutorial_lib import {names}; print('torch' in sys.modules)"
    assert run_python(program) == "False"
