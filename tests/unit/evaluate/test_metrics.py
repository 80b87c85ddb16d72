"""Metrics by hand: fractions one can check with a pencil, and the table of other libraries' readings."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimargin.errors import ArgumentError
from multimargin.evaluate.metrics import METRICS, all_metrics, hits_of, metric_name


def measured(places, n_relevant, k=20):
    hits = np.zeros((1, k), dtype=bool)
    hits[0, [place - 1 for place in places]] = True
    values = all_metrics(hits, np.array([n_relevant]), [k])
    return {name.partition("@")[0]: value[0] for name, value in values.items()}


@pytest.mark.parametrize(
    ("n_relevant", "places", "expected"),
    [
        (2, (1, 4), {"Recall": 1.0, "NDCG": 0.877, "MRR": 1.0, "MAP": 0.750, "Precision": 0.100, "HitRate": 1}),
        (8, (2, 5, 9), {"Recall": 0.375, "NDCG": 0.334, "MRR": 0.5, "MAP": 0.154, "Precision": 0.150, "HitRate": 1}),
        (
            60,
            (1, 2, 3, 7, 11, 15),
            {"Recall": 0.100, "NDCG": 0.425, "MRR": 1.0, "MAP": 0.221, "Precision": 0.300, "HitRate": 1},
        ),
    ],
)
def test_lists_on_which_libraries_disagree(n_relevant, places, expected):
    assert {name: pytest.approx(value, abs=5e-4) for name, value in expected.items()} == measured(places, n_relevant)


def test_fractions_by_hand():
    found = measured((2, 3), n_relevant=4, k=5)
    assert found["Recall"] == 2 / 4
    assert found["Precision"] == 2 / 5
    assert found["HitRate"] == 1
    assert found["MRR"] == 1 / 2
    assert found["MAP"] == pytest.approx((1 / 2 + 2 / 3) / 4)
    ideal = 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    assert found["NDCG"] == pytest.approx((1 / log2(3) + 1 / log2(4)) / ideal)


def test_no_hit_is_zero_everywhere():
    assert set(measured((), n_relevant=3).values()) == {0.0}


def test_a_perfect_list_is_one_everywhere_but_where_k_outnumbers_the_items():
    assert measured((1, 2, 3), n_relevant=3, k=3) == dict.fromkeys(METRICS, 1.0)
    assert measured((1, 2, 3), n_relevant=3, k=20)["Precision"] == 3 / 20


def test_all_cut_offs_from_one_matrix():
    hits = np.array([[False, True, False, True]])
    values = all_metrics(hits, np.array([2]), [1, 2, 4, 9])
    assert [values[f"Recall@{k}"][0] for k in (1, 2, 4, 9)] == [0, 1 / 2, 1, 1]
    assert [values[f"Precision@{k}"][0] for k in (1, 2, 4, 9)] == [0, 1 / 2, 1 / 2, 2 / 9]
    assert values["MAP@9"] == values["MAP@4"]
    assert list(values)[:6] == ["Recall@1", "NDCG@1", "Precision@1", "HitRate@1", "MRR@1", "MAP@1"]


def test_users_without_held_out_items_are_refused():
    with pytest.raises(ArgumentError, match="n_relevant must be 1 or more; got 0"):
        all_metrics(np.zeros((2, 3), dtype=bool), np.array([1, 0]), [3])


def test_hits_of_a_short_list_and_of_nothing():
    index = np.array([[2, 0, -1], [1, -1, -1], [-1, -1, -1]], dtype=np.int32)
    relevant = [np.array([0, 5]), np.array([2]), np.array([0])]
    assert hits_of(index, relevant).tolist() == [[False, True, False], [False] * 3, [False] * 3]
    assert not hits_of(index, [np.array([], dtype=np.int32)] * 3).any()
    assert hits_of(np.empty((0, 3), dtype=np.int32), []).shape == (0, 3)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 9), n_items=st.integers(1, 30), k=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_against_plain_loops(n, n_items, k, seed):
    rng = np.random.default_rng(seed)
    index = np.full((n, k), -1, dtype=np.int32)
    relevant = []
    for user in range(n):
        listed = rng.permutation(n_items)[: rng.integers(0, k + 1)]
        index[user, : len(listed)] = listed
        relevant.append(np.sort(rng.permutation(n_items)[: rng.integers(1, n_items + 1)]).astype(np.int32))
    indptr = np.cumsum([0, *map(len, relevant)])
    flat = np.concatenate(relevant) if relevant else np.empty(0, np.int32)
    hits = hits_of(index, (indptr, flat))
    counts = np.array([len(items) for items in relevant], dtype=np.int64)
    values = all_metrics(hits, counts, [1, k])
    for cut in {1, k}:
        for user in range(n):
            wanted = set(relevant[user].tolist())
            gain = ideal = precisions = n_hits = first = 0.0
            for place, item in enumerate(index[user, :cut].tolist(), 1):
                if item in wanted:
                    n_hits += 1
                    gain += 1 / log2(place + 1)
                    precisions += n_hits / place
                    first = first or 1 / place
            for place in range(1, min(len(wanted), cut) + 1):
                ideal += 1 / log2(place + 1)
            expected = {
                "Recall": n_hits / len(wanted),
                "NDCG": gain / ideal,
                "Precision": n_hits / cut,
                "HitRate": float(n_hits > 0),
                "MRR": first,
                "MAP": precisions / min(len(wanted), cut),
            }
            for name, value in expected.items():
                assert values[f"{name}@{cut}"][user] == pytest.approx(value, abs=1e-12)


def test_names_are_found_in_any_capitals():
    assert metric_name("ndcg@20") == "NDCG@20"
    assert metric_name("hitrate@05") == "HitRate@5"


@pytest.mark.parametrize(
    ("name", "message"),
    [("NDGC@20", "Did you mean 'NDCG'"), ("recall", "Write Recall@20"), ("MAP@0", "end in its cut-off")],
)
def test_names_that_do_not_exist(name, message):
    with pytest.raises(ArgumentError, match=message):
        metric_name(name)
