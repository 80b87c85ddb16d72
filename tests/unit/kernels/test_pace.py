"""Which number of threads is chosen, against a machine whose speed is made up."""

from multimargin.kernels.pace import Pace


def run(pace: Pace, seconds: dict[int, float], pieces: int) -> list[int]:
    chosen = []
    for _ in range(pieces):
        threads, steps = pace.choose(80)
        pace.record(threads, steps, seconds[threads] * steps / 80)
        chosen.append(threads)
    return chosen


def test_one_thread_is_all_there_is() -> None:
    assert run(Pace(1), {1: 1.0}, 5) == [1] * 5


def test_more_threads_are_kept_where_they_pay_off() -> None:
    chosen = run(Pace(4), {4: 1.0, 1: 3.0}, 200)
    assert chosen[:3] == [4, 4, 1]
    assert chosen.count(4) > 180


def test_one_thread_is_kept_on_a_busy_machine() -> None:
    chosen = run(Pace(2), {2: 20.0, 1: 1.0}, 50)
    assert chosen.count(1) == 48, "the first trial must not be repeated before it has been paid off"


def test_a_trial_is_short() -> None:
    pace = Pace(2)
    for expected in ((2, 10), (2, 10), (1, 10), (2, 80), (2, 10), (2, 80)):
        assert pace.choose(80) == expected
        pace.record(*expected, {2: 1.0, 1: 2.0}[expected[0]] * expected[1])
    assert Pace(2).choose(3) == (2, 1)


def test_the_slower_choice_is_tried_again() -> None:
    pace = Pace(2)
    run(pace, {2: 20.0, 1: 1.0}, 3)
    chosen = run(pace, {2: 0.5, 1: 1.0}, 600)
    assert chosen[-1] == 2
    assert chosen.count(2) > 50


def test_the_time_that_threads_take_to_wake_up_does_not_count() -> None:
    pace, before, chosen = Pace(2), 1, []
    for _ in range(400):
        threads, steps = pace.choose(80)
        pace.record(threads, steps, steps * {2: 1.0, 1: 1.6}[threads] + 10 * (threads > before))
        before = threads
        chosen.append(threads)
    assert chosen.count(2) > 300
