"""A toy log, a run on it, and the command in this process."""

import shutil
from dataclasses import dataclass

import pytest
from toy import TINY, write_events


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """Return a function that runs the command line and returns its exit code and what it printed."""

    def call(*arguments):
        from multimargin.cli.main import run

        capsys.readouterr()
        code = run([str(each) for each in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def events(tmp_path):
    return write_events(tmp_path / "events.csv")


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    """One finished run, made once; tests get copies of it."""
    from multimargin.cli.main import run

    folder = tmp_path_factory.mktemp("trained")
    write_events(folder / "events.csv")
    arguments = ["fit", "mf-mml", "--data", str(folder / "events.csv"), "--run", str(folder / "run"), *TINY]
    assert run(arguments) == 0
    return folder


@pytest.fixture
def trained(_trained, tmp_path):
    """A folder of its own with events.csv and a finished run."""
    folder = tmp_path / "work"
    shutil.copytree(_trained, folder)
    return folder


@pytest.fixture(autouse=True)
def _threads_as_before(monkeypatch):
    """Commands set the threads of their process, which here is everybody's."""
    from multimargin.kernels import threads

    monkeypatch.setattr(threads, "_threads", threads._threads)
    before = threads.get_threads()
    yield
    threads.set_threads(before)
