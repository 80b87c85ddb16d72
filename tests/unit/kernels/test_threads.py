"""The number of threads: set in code, by the environment, or the cores this process may use."""

import os
import subprocess
import sys

import pytest

from multimargin.errors import ArgumentError
from multimargin.kernels import threads


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(threads, "_threads", None)
    monkeypatch.delenv("MULTIMARGIN_THREADS", raising=False)


def test_without_a_word_all_cores_this_process_may_use():
    assert threads.get_threads() == threads.usable_cores() >= 1
    if hasattr(os, "sched_getaffinity"):
        assert threads.usable_cores() == len(os.sched_getaffinity(0))


def test_the_environment_is_heard_and_code_is_louder(monkeypatch):
    monkeypatch.setenv("MULTIMARGIN_THREADS", " 3 ")
    assert threads.get_threads() == 3
    threads.set_threads(1)
    assert threads.get_threads() == 1


def test_an_empty_variable_says_nothing(monkeypatch):
    monkeypatch.setenv("MULTIMARGIN_THREADS", "")
    assert threads.get_threads() == threads.usable_cores()


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_broken_variable_is_named(monkeypatch, value):
    monkeypatch.setenv("MULTIMARGIN_THREADS", value)
    with pytest.raises(ArgumentError, match="MULTIMARGIN_THREADS must be a whole number of 1 or more"):
        threads.get_threads()


@pytest.mark.parametrize("value", [0, -3, 1.5, True, "2"])
def test_a_broken_number_is_named(value):
    with pytest.raises(ArgumentError, match="threads must be"):
        threads.set_threads(value)


def test_numba_is_not_loaded_for_it():
    imports = "import sys; from multimargin.kernels.threads import set_threads; set_threads(2)"
    subprocess.run([sys.executable, "-c", f"{imports}; assert 'numba' not in sys.modules"], check=True)
