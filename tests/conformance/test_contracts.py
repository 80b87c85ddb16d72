"""What holds for every public entry of each axis, baselines included, and every kernel folder, found by itself."""

import doctest
import importlib
import inspect
import pkgutil
import re
import sys

import pytest

import multimargin.kernels
from multimargin.baselines import BASELINES, Baseline
from multimargin.encoders import ENCODERS
from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError
from multimargin.losses import LOSSES
from multimargin.losses.base import Loss
from multimargin.negatives import NEGATIVES
from multimargin.negatives.base import NegativeSampler

AXES = {Loss: LOSSES, NegativeSampler: NEGATIVES, Encoder: ENCODERS, Baseline: BASELINES}
ENTRIES = [pytest.param(base, entry, id=name) for base, axis in AXES.items() for name, entry in axis.items()]
KERNELS = [module.name for module in pkgutil.iter_modules(multimargin.kernels.__path__) if module.ispkg]
COMPOSED = {"fused_epoch", "scored_steps", "shared_epoch"}  # equal the loop's own steps, whose parts have references


@pytest.mark.parametrize(("base", "entry"), ENTRIES)
class TestEntries:
    def test_is_final_and_of_its_axis(self, base, entry):
        assert issubclass(entry, base)
        assert not inspect.isabstract(entry)
        others = [other for axis in AXES.values() for other in axis.values() if other is not entry]
        assert not any(issubclass(other, entry) for other in others)  # wrap, do not override

    def test_is_built_without_arguments(self, base, entry):
        entry()

    def test_its_constructor_is_its_schema(self, base, entry):
        for parameter in own_parameters(entry):
            assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            assert parameter.annotation is not parameter.empty

    def test_refuses_what_it_does_not_know(self, base, entry):
        with pytest.raises(TypeError):
            entry(no_such_argument=1)

    def test_its_docstring_has_the_sections(self, base, entry):
        sections = ["    Args:\n", "    Source:\n", "    Differs:\n", "    Example:\n"]
        places = [entry.__doc__.find(section) for section in sections]
        assert -1 not in places, f"missing: {[s.strip() for s, p in zip(sections, places, strict=True) if p < 0]}"
        assert places == sorted(places)
        assert ".. math::" in entry.__doc__
        assert "Also known as:" in entry.__doc__

    def test_its_docstring_names_every_argument(self, base, entry):
        for parameter in own_parameters(entry):
            assert f"        {parameter.name}: " in entry.__doc__

    def test_its_example_prints_what_it_says(self, base, entry):
        names = vars(sys.modules[entry.__module__])
        examples = doctest.DocTestFinder(recurse=False).find(entry, globs=dict(names))
        results = [doctest.DocTestRunner().run(example) for example in examples]
        assert sum(result.attempted for result in results) >= 1
        assert sum(result.failed for result in results) == 0


def own_parameters(entry):
    if entry.__init__ is object.__init__ or "__init__" not in vars(entry):
        return []
    return list(inspect.signature(entry).parameters.values())


@pytest.mark.parametrize("name", KERNELS)
class TestKernels:
    def test_has_a_reference_and_a_compiled_form(self, name):
        for part in ("cpu",) if name in COMPOSED else ("reference", "cpu"):
            assert importlib.import_module(f"multimargin.kernels.{name}.{part}").__doc__

    def test_states_its_contract_as_an_equation(self, name):
        text = importlib.import_module(f"multimargin.kernels.{name}").__doc__.lower()
        assert "contract" in text
        assert re.search(r"\bequals?\b", text)

    def test_an_unknown_implementation_is_named(self, name):
        module = importlib.import_module(f"multimargin.kernels.{name}")
        operations = [
            each for _, each in inspect.getmembers(module, inspect.isfunction) if each.__module__ == module.__name__
        ]
        with_choice = [each for each in operations if "impl" in inspect.signature(each).parameters]
        for operation in with_choice:
            positional = [p for p in inspect.signature(operation).parameters.values() if p.default is p.empty]
            with pytest.raises(ArgumentError, match="impl must be one of"):
                operation(**{p.name: None for p in positional}, impl="no-such")
