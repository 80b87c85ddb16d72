"""Who imports whom, how long a file may be, and how light the package is; read from the source, not from its word."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "multimargin"
FILES = sorted(PACKAGE.rglob("*.py"))

OPEN = {"errors", "checks", "ranges", "rng"}  # to all; they import none of ours but one another
PARTS = {
    "losses",
    "data",
    "texts",
    "negatives",
    "encoders",
    "kernels",
    "optim",
    "train",
    "recommend",
    "evaluate",
    "baselines",
}
ARROWS = {
    "losses": {"kernels"},
    "data": set(),
    "texts": {"data"},
    "kernels": set(),
    "negatives": {"data", "kernels"},
    "encoders": {"data", "kernels"},
    "optim": {"kernels"},
    "train": {"losses", "negatives", "encoders", "kernels", "optim", "data"},
    "recommend": {"encoders", "kernels", "data"},
    "baselines": {"recommend", "kernels", "data"},
    "evaluate": {"recommend", "data"},
    "recipes": PARTS,
    "experiments": PARTS | {"recipes"},
    "cli": PARTS | {"recipes", "experiments"},
    "__main__": {"cli"},
}
LONGEST = {"losses": 150, "negatives": 150, "encoders": 250, "kernels": 300, "baselines": 150}  # lines per file
ONLY_INSIDE_FUNCTIONS = {"matplotlib", "triton", "pandas", "pyarrow", "optuna", "sentence_transformers", "implicit"}
NEVER = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}


def name_of(path):
    return str(path.relative_to(PACKAGE))


def imports(path, *, top_level_only=False):
    """Return the dotted names a file imports, those inside functions and under TYPE_CHECKING too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path):
    """Return the parts of this package that a file imports."""
    parts = {name.split(".")[1] for name in imports(path) if name.startswith("multimargin.")}
    return parts - {"__version__"}


def part_of(path):
    inside = path.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 else inside[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=name_of)
class TestEveryFile:
    def test_imports_along_the_arrows(self, path):
        part = part_of(path)
        if part == "__init__":  # the façade, loaded lazily
            return
        if part in OPEN:
            assert ours(path) <= OPEN
            return
        allowed = {"errors", "checks"} if part == "kernels" else OPEN
        assert ours(path) <= ARROWS[part] | {part} | allowed

    def test_is_not_too_long(self, path):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGEST.get(part_of(path), lines)

    def test_annotations_are_real(self, path):
        assert "__future__.annotations" not in imports(path)

    def test_has_a_name_that_says_something(self, path):
        assert path.stem not in {"utils", "util", "helpers", "common", "misc"}

    def test_heavy_extras_load_when_used(self, path):
        top_level = {name.split(".")[0] for name in imports(path, top_level_only=True)}
        allowed = {"triton"} if path.name == "gpu.py" else set()  # itself imported inside functions only
        assert not top_level & (ONLY_INSIDE_FUNCTIONS - allowed)
        assert not [name for name in imports(path, top_level_only=True) if "gpu" in name.split(".")]

    def test_never_pickles(self, path):
        assert not {name.split(".")[0] for name in imports(path)} & NEVER
        calls = [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
        ]
        torch_files = [node for node in calls if isinstance(node.value, ast.Name) and node.value.id == "torch"]
        assert not [node.attr for node in torch_files if node.attr in {"load", "save"}]

    def test_opens_with_a_docstring(self, path):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_part_has_its_arrows():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert folders | {"__main__"} == set(ARROWS)


def test_a_loss_sees_no_data():
    for path in (PACKAGE / "losses").glob("*.py"):
        assert ours(path) <= {"losses", "kernels", "checks", "errors", "ranges"}


def test_only_the_recipe_turns_names_into_objects():
    registries = {"LOSSES", "NEGATIVES", "ENCODERS", "BASELINES", "SPLITS"}
    users = {
        name_of(path)
        for path in FILES
        for name in imports(path)
        if name.split(".")[-1] in registries and part_of(path) != "__init__"
    }
    assert {name for name in users if name.split("/")[0] not in {"recipes", "cli"}} == set()


def run(program):
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_importing_the_package_is_light_and_silent():
    heavy = ["torch", "numba", "polars", "scipy", "numpy", "matplotlib", "triton", "pandas", "rich", "typer", "yaml"]
    program = f"import sys, multimargin; print(*[name for name in {heavy} if name in sys.modules])"
    assert run(program).split() == []


def test_a_loss_alone_loads_no_engine():
    program = (
        "import sys; from multimargin.losses import MultiMarginLoss; MultiMarginLoss();"
        "print(*[name for name in ('numba', 'polars', 'scipy', 'matplotlib', 'triton') if name in sys.modules])"
    )
    assert run(program).split() == []


def test_the_facade_is_complete():
    import multimargin
    from multimargin.baselines import BASELINES
    from multimargin.encoders import ENCODERS
    from multimargin.losses import LOSSES
    from multimargin.negatives import NEGATIVES

    for name in multimargin.__all__:
        assert getattr(multimargin, name) is not None
    classes = [entry for axis in (LOSSES, NEGATIVES, ENCODERS, BASELINES) for entry in axis.values()]
    for entry in classes:
        assert entry.__name__ in multimargin.__all__
        assert getattr(multimargin, entry.__name__) is entry
    assert sorted(multimargin.__all__) == sorted(set(multimargin.__all__))
    with pytest.raises(AttributeError):
        multimargin.no_such_name  # noqa: B018


def test_names_of_the_facade_win_over_folders_of_the_same_name():
    # importing multimargin.evaluate binds the folder to the name of the function
    program = (
        "import multimargin.evaluate, multimargin.recipes.fit, multimargin as mm;"
        "print(all(callable(getattr(mm, name)) for name in mm.__all__))"
    )
    assert run(program).split() == ["True"]
