import inspect
import subprocess
import sys

import multimargin


def test_every_public_name_is_there_and_listed():
    for name in multimargin.__all__:
        assert getattr(multimargin, name) is not None
    assert sorted(multimargin.__all__) == sorted(set(multimargin.__all__))
    assert set(multimargin._HOME_OF) <= set(multimargin.__all__)


def test_all_is_complete():
    from multimargin import data, encoders, errors, evaluate, losses, negatives, train

    modules = (data, encoders, errors, evaluate, losses, negatives, train)
    public = {name for module in modules for name, each in vars(module).items() if inspect.isclass(each)}
    inner = {"Finding", "GivenParts", "Hinges", "Logistic", "ModuleType", "SplitStrategy", "Squares", "Training"}
    assert public - inner - {"_CallablePackage"} <= set(multimargin.__all__)


def test_evaluate_is_a_function_and_a_package():
    """In either order of import."""
    first = "import multimargin as mm; mm.evaluate; import multimargin.evaluate.protocol as p"
    last = "import multimargin.evaluate.protocol as p, multimargin as mm"
    for order in (first, last):
        code = f"{order}; assert callable(mm.evaluate) and mm.evaluate.protocol is p; mm.evaluate()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "missing 2 required positional arguments: 'model' and 'test'" in done.stderr


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(multimargin, "MultiMarginLos")


def test_import_is_light_and_silent():
    heavy = ("torch", "numba", "polars", "matplotlib", "typer", "numpy", "yaml", "rich")
    code = f"import sys, multimargin; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
