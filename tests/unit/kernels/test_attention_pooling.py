"""Attention over bags: no further from the float64 definition than the float32 definition is, at any thread count."""

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.kernels.attention_pooling import attention_pooling, reference

TOLERANCE = 2e-6  # allowed beyond the float32 definition's own error, relative to the largest entry
WIDTHS = (13, 7)  # D, E


def case(sizes=(3, 0, 1, 11, 0), n_entries=17, seed=0):
    """Return queries, keys, values, places, starts, upstream; entries repeat within and between bags."""
    rng = np.random.default_rng(seed)
    queries, keys = rng.standard_normal((len(sizes), WIDTHS[0])), rng.standard_normal((n_entries, WIDTHS[0]))
    values, upstream = (rng.standard_normal((rows, WIDTHS[1])) for rows in (n_entries, len(sizes)))
    places, starts = rng.integers(0, n_entries, sum(sizes)), np.cumsum(sizes) - sizes
    return [torch.from_numpy(each) for each in (queries, keys, values, places, starts, upstream)]


def run(found, *, dtype=torch.float32, operation=attention_pooling):
    *floats, places, starts, upstream = (each.to(dtype) if each.is_floating_point() else each for each in found)
    floats = [each.clone().requires_grad_() for each in floats]
    result = operation(*floats, places, starts)
    result.backward(upstream)
    return result.detach(), *(each.grad for each in floats)


def test_the_definition_is_a_plain_loop():
    queries, keys, values, places, starts, _ = case()
    expected = torch.zeros(5, WIDTHS[1], dtype=torch.float64)
    for b, (start, stop) in enumerate([(0, 3), (3, 3), (3, 4), (4, 15), (15, 15)]):
        scores = [float((queries[b] * keys[place]).sum()) for place in places[start:stop]]
        for score, place in zip(scores, places[start:stop], strict=True):
            expected[b] += np.exp(score) / sum(map(np.exp, scores)) * values[place]
    torch.testing.assert_close(reference.attention_pooling(queries, keys, values, places, starts), expected)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sizes", [(3, 0, 1, 11, 0), (0, 0), (1,), (200, 1, 37)])
def test_is_as_near_as_the_definition(sizes, threads, at_threads):
    at_threads(threads)
    found = case(sizes)
    exact = run(found, dtype=torch.float64, operation=reference.attention_pooling)
    plain = run(found, operation=reference.attention_pooling)
    for ours, definition, wanted in zip(run(found), plain, exact, strict=True):
        allowed = (definition.double() - wanted).abs() + TOLERANCE * max(float(wanted.abs().max()), 1e-30)
        assert ((ours.double() - wanted).abs() <= allowed).all()


def test_does_not_depend_on_threads(at_threads):
    results = []
    for threads in (1, 2, 4):
        at_threads(threads)
        results.append(run(case((200, 1, 0, 37))))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_large_scores_stay_finite():
    queries, keys, values, places, starts, upstream = case()
    for result in run([100 * queries, 100 * keys, values, places, starts, upstream]):
        assert torch.isfinite(result).all()


def test_cpu_takes_only_what_it_can():
    queries, keys, values, places, starts, _ = case()
    with pytest.raises(ArgumentError, match="float32 on the CPU"):
        attention_pooling(queries, keys, values, places, starts, impl="cpu")
