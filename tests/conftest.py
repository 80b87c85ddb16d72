"""What all tests share: no network, no display, repeatable hypothesis, small interactions, the real data if there."""

import os
import socket
from dataclasses import replace
from pathlib import Path

# Before PyTorch is imported: threads of two workers that wait by spinning take the cores of one another, and what takes
# half a minute alone takes a quarter of an hour. Tests of threads say how many they want.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    for name in ("OMP_NUM_THREADS", "MULTIMARGIN_THREADS"):
        os.environ.setdefault(name, "1")

import hypothesis
import numpy as np
import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported, whose functions look at it

hypothesis.settings.register_profile("multimargin", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("multimargin")

LOCAL = {"127.0.0.1", "::1", "localhost"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each file to one worker: two would compile the same kernels."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def connect_locally(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise AssertionError(f"a test tried to reach {address!r}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture
def at_threads(monkeypatch):
    """Return a function that sets the number of threads, of however little work; afterwards it is as before."""
    from multimargin.kernels import team, threads

    monkeypatch.setattr(threads, "_threads", None)
    monkeypatch.setattr(team, "_SMALL", 0)
    return threads.set_threads


@pytest.fixture
def small():
    """Interactions of 12 users and 23 items, ids text and integers; user 0 has none, user 1 all items but one."""
    from multimargin.data.interactions import Interactions
    from multimargin.data.vocabulary import Vocabulary

    rng = np.random.default_rng(3)
    touched = rng.random((12, 23)) < 0.3
    touched[0] = False
    touched[1] = True
    touched[1, 17] = False
    users, items = np.nonzero(touched)
    return Interactions.from_pairs(
        users,
        items,
        Vocabulary([f"user-{u}" for u in range(12)], kind="user"),
        Vocabulary([100 + i for i in range(23)], kind="item"),
    )


@pytest.fixture
def timed(small):
    """The interactions of ``small`` with times, some of them equal."""
    return replace(small, timestamps=np.random.default_rng(4).integers(0, 9, len(small)))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets; the test is skipped where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
