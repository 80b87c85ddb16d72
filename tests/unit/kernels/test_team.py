"""Threads that run one kernel together: they wait at barriers, and nobody waits for one that failed."""

import threading
import time

import numba
import numpy as np
import pytest

from multimargin.kernels.team import TOGETHER, meet, run_together, share, threads_for


@numba.njit(**(TOGETHER | {"cache": False}))
def relay(thread, threads, cells, rounds, values):
    """In each round, everybody takes over the other neighbour's value plus one."""
    for turn in range(rounds):
        mine, other = values[turn % 2], values[(turn + 1) % 2]
        other[thread] = mine[(thread + 1) % threads] + 1
        meet(cells, thread, threads)
    return thread


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_everybody_sees_what_was_written_before_the_barrier(threads):
    values = np.zeros((2, threads), np.int64)
    values[0] = np.arange(threads)
    assert run_together(threads, relay, 1000, values) == 0
    np.testing.assert_array_equal(values[0], (np.arange(threads) + 1000) % threads + 1000)


def test_an_error_is_raised_and_nobody_waits_for_it():
    def kernel(thread, threads, cells, values):
        if thread == 1:
            raise ValueError("of the second")
        return relay(thread, threads, cells, 10, values)

    with pytest.raises(ValueError, match="of the second"):
        run_together(2, kernel, np.zeros((2, 2), np.int64))
    assert run_together(2, relay, 10, np.zeros((2, 2), np.int64)) == 0


def test_two_callers_take_turns():
    results = []
    callers = [
        threading.Thread(target=lambda: results.append(run_together(2, relay, 5000, np.zeros((2, 2), np.int64))))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert results == [0, 0, 0, 0]


def test_nobody_returns_before_all_have():
    done = []

    def kernel(thread, threads, cells):
        time.sleep(0.05 * thread)
        done.append(thread)
        if thread == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together(3, kernel)
    assert sorted(done) == [0, 1, 2]


def test_shares_cover_everything_once():
    for n, threads in ((10, 3), (2, 5), (0, 2)):
        parts = [range(*share(thread, threads, n)) for thread in range(threads)]
        assert [each for part in parts for each in part] == list(range(n))


def test_little_work_is_for_one_thread(monkeypatch):
    monkeypatch.setattr("multimargin.kernels.team.get_threads", lambda: 4)
    assert threads_for(10) == 1
    assert threads_for(10**9) == 4
