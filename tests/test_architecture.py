"""The package keeps its import table, loads torch only where it must, and leaves no trace."""

import ast
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tutorial_lib"
MODULES = sorted(PACKAGE.glob("[!_]*.py"))

LEVEL_0 = {"initializations", "estimates", "gaussians", "randomness", "perturbations", "data", "transformations"}
LEVEL_1 = {"exact", "models", "attacks", "plotting"}
LEVEL_2 = {"bounds", "classifiers", "kernels", "stability"}
LEVEL_3 = {"laziness", "lazy_limit", "random_features", "training"}
# Every module may import `arguments`, which imports none of ours.
MAY_IMPORT = {
    "arguments": set(),
    "verdicts": set(),
    **dict.fromkeys(LEVEL_0, set()),
    "exact": {"initializations"},
    "kernels": {"initializations", "models"},
    "training": {"initializations", "kernels", "models"},
    "models": {"initializations"},
    "laziness": {"estimates", "kernels", "models"},
    "phase_diagram": {"initializations", "kernels", "models", "randomness", "training"},
    "attacks": {"perturbations", "transformations"},
    "classifiers": {"attacks", "transformations"},
    "plotting": {"estimates"},
    "bounds": {"exact", "initializations"},
    "stability": {"estimates", "exact", "gaussians", "models", "perturbations"},
    "lazy_limit": {"initializations", "estimates", "exact", "gaussians", "kernels"},
    "random_features": {"initializations", "models", "perturbations", "stability"},
    "widgets": {"exact", "bounds", "initializations", "plotting"},
    "experiments": (LEVEL_0 | LEVEL_1 | LEVEL_2 | LEVEL_3) - {"plotting"},
    "results": {"estimates", "experiments"},
    "limit_rows": (LEVEL_0 | LEVEL_1 | LEVEL_2 | LEVEL_3 | {"experiments"}) - {"plotting"},
}
WITHOUT_TORCH = ["arguments", "initializations", "estimates", "exact", "bounds", "plotting", "verdicts", "widgets"]


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
        found |= {name.split(".")[1] for name in names if name.startswith("tutorial_lib.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_follow_the_table(path):
    assert imports_of(path) <= MAY_IMPORT[path.stem] | {"arguments"}


def test_every_form_of_import_is_seen(tmp_path):
    forms = [
        "import tutorial_lib.book.data",
        "from tutorial_lib import exact",
        "from tutorial_lib.models import ReLUMLP",
    ]
    file = tmp_path / "module.py"
    file.write_text("\n".join([*forms, "def f():\n    import tutorial_lib.bounds as b\n"]))
    assert imports_of(file) == {"data", "exact", "models", "bounds"}


def test_the_table_has_no_circle():
    levels = [
        {"arguments", "verdicts"} | LEVEL_0,
        LEVEL_1,
        LEVEL_2,
        LEVEL_3,
        {"widgets", "experiments", "phase_diagram"},
        {"results", "limit_rows"},
    ]
    below = set()
    for level in levels:
        assert all(MAY_IMPORT[module] <= below for module in level)
        below |= level
    assert below == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 220


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


def test_global_random_state_and_settings_are_left_alone(as_a_reader, generator):  # noqa: ARG001
    from tutorial_lib import initializations, models, perturbations, randomness, stability
    from tutorial_lib.book import data

    before = global_state()
    x = data.load(num_train=5, num_test=2).train_x
    sizes = {"input_dim": 64, "width": 6, "depth": 3, "output_dim": 2}
    model = models.ReLUMLP(
        initializations.he(input_dim=64, width=6), **sizes, generator=randomness.random_stream(3, "weights")
    )
    perturbations.uniform_in_ball(x, radius=0.1, generator=generator)
    stability.perturbation_stability(model, x)
    stability.perturbation_stability(model, x, generator=generator)
    stability.perturbation_stability(torch.nn.Sequential(model), x)
    stability.sampled_perturbation_stability(model, x, radius=0.1, num_samples=2, generator=generator)
    assert global_state() == before
