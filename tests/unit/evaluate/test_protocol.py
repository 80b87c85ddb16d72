"""Full ranking against plain loops and against ir_measures, which shares no line with us."""

import json
import warnings

import numpy as np
import pytest

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, DataError
from multimargin.evaluate import protocol
from multimargin.evaluate.protocol import Evaluation, Evaluator, evaluate
from multimargin.recommend.recommender import Recommender


def interactions(rows, n_items):
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    vocabularies = Vocabulary.range(len(rows), kind="user"), Vocabulary.range(n_items, kind="item")
    return Interactions.from_pairs(users, items, *vocabularies)


def random_case(n_users, n_items, dim, *, n_seen, n_held_out, seed):
    """Return tables, seen and held-out items; every tenth user has nothing held out."""
    rng = np.random.default_rng(seed)
    seen, held_out = [], []
    for user in range(n_users):
        count = int(rng.integers(1, n_held_out + 1)) * (user % 10 != 3)
        drawn = rng.choice(n_items, size=int(rng.integers(0, n_seen)) + count, replace=False)
        held_out.append(drawn[:count])
        seen.append(drawn[count:])
    tables = (
        rng.standard_normal((n_users, dim), dtype=np.float32),
        rng.standard_normal((n_items, dim), dtype=np.float32),
    )
    # pull users towards what they will touch, so that there are hits to count
    for user, items in enumerate(held_out):
        tables[0][user] += 0.4 * tables[1][items].sum(0)
    return *tables, interactions(seen, n_items), interactions(held_out, n_items)


def by_ir_measures(user_table, item_table, seen, held_out, cuts):
    """Rank with NumPy, measure with ir_measures (trec_eval); scores handed over are places, so ties cannot matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ir_measures
        from ir_measures import AP, RR, P, R, ScoredDoc, Success, nDCG
        from ir_measures import Qrel as Held

    qrels, run, share = [], [], {cut: [] for cut in cuts}
    deepest = max(cuts)
    for user in np.flatnonzero(held_out.user_counts).tolist():
        relevant = held_out.items_of(user)
        qrels += [Held(str(user), str(item), 1) for item in relevant]
        scores = item_table.astype(np.float64) @ user_table[user].astype(np.float64)
        scores[seen.items_of(user)] = -np.inf
        n_left = len(scores) - len(seen.items_of(user))
        best = np.argsort(-scores, kind="stable")[: min(deepest, n_left)]
        run += [ScoredDoc(str(user), str(item), float(deepest - place)) for place, item in enumerate(best)]
        for cut in cuts:
            share[cut].append((str(user), len(relevant) / min(len(relevant), cut)))
    ours = {"Recall": R, "NDCG": nDCG, "Precision": P, "HitRate": Success, "MRR": RR, "MAP": AP}
    measures = {str(measure @ cut): f"{name}@{cut}" for name, measure in ours.items() for cut in cuts}
    values = {name: {} for name in measures.values()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for found in ir_measures.iter_calc([m @ cut for m in ours.values() for cut in cuts], qrels, run):
            values[measures[str(found.measure)]][found.query_id] = found.value
    for cut in cuts:  # trec_eval divides average precision by |R|, we by min(|R|, k)
        for user, ratio in share[cut]:
            values[f"MAP@{cut}"][user] *= ratio
    return {name: np.mean(list(by_user.values())) for name, by_user in values.items()}


@pytest.mark.parametrize("threads", [1, 2])
def test_agrees_with_ir_measures(threads):
    case = random_case(211, 503, 16, n_seen=40, n_held_out=30, seed=0)
    expected = by_ir_measures(*case, cuts=(5, 20))
    found = Evaluator(case[3], seen=case[2], k=(20, 5), threads=threads)(case[0], case[1], "dot")
    assert found.metrics == pytest.approx(expected, abs=1e-9)
    assert 0.05 < found["recall@20"] < 0.9
    assert found.n_skipped == sum(user % 10 == 3 for user in range(211))
    assert found.n_users + found.n_skipped == 211


def test_agrees_with_ir_measures_on_lists_of_gowallas_size():
    case = random_case(500, 40_981, 64, n_seen=60, n_held_out=16, seed=1)
    expected = by_ir_measures(*case, cuts=(20, 50))
    found = Evaluator(case[3], seen=case[2])(case[0], case[1], "dot")
    assert found.metrics == pytest.approx(expected, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    case = random_case(90, 70, 8, n_seen=20, n_held_out=10, seed=2)
    whole = Evaluator(case[3], seen=case[2], k=10)(case[0], case[1], "cosine")
    monkeypatch.setattr(protocol, "_BLOCK", 7)
    blocks = Evaluator(case[3], seen=case[2], k=10)(case[0], case[1], "cosine")
    assert blocks.metrics == whole.metrics
    np.testing.assert_array_equal(blocks.per_user["NDCG@10"], whole.per_user["NDCG@10"])


def test_a_sample_is_some_of_the_users_the_same_ones_for_one_seed():
    case = random_case(90, 70, 8, n_seen=20, n_held_out=10, seed=2)
    tables, seen, held_out = case[:2], *case[2:]
    whole = Evaluator(held_out, seen=seen, k=10)(*tables, "dot")
    found = Evaluator(held_out, seen=seen, k=10, n_users=30, rng=5)(*tables, "dot")
    places = np.searchsorted(whole.users, found.users)
    assert (len(set(found.users.tolist())), found.n_users, found.n_skipped) == (30, 30, whole.n_skipped)
    assert (whole.users[places] == found.users).all()
    for name, values in found.per_user.items():
        np.testing.assert_array_equal(values, whole.per_user[name][places])
        assert found.metrics[name] == pytest.approx(whole.per_user[name][places].mean(), abs=1e-12)
    assert found.notes == (f"measured on 30 of the {whole.n_users} users with held-out items, drawn at random.",)
    assert found.to_dict()["users"] == 30
    again = [Evaluator(held_out, seen=seen, n_users=30, rng=seed).users for seed in (5, 6)]
    assert (again[0] == found.users).all()
    assert (again[1] != found.users).any()
    enough = Evaluator(held_out, seen=seen, k=10, n_users=81)(*tables, "dot")
    assert (enough.metrics, enough.notes) == (whole.metrics, ())
    with pytest.raises(ArgumentError, match="n_users must be 1 or more; got 0"):
        Evaluator(held_out, seen=seen, n_users=0)


def test_seen_items_cannot_be_listed_and_ties_go_to_the_lower_index():
    tables = np.ones((1, 1), dtype=np.float32), np.ones((5, 1), dtype=np.float32)
    evaluator = Evaluator(interactions([[2]], 5), seen=interactions([[0]], 5), k=(1, 2))
    assert evaluator(*tables, "dot").metrics["Recall@1"] == 0.0  # item 1 comes first
    assert evaluator(*tables, "dot").metrics["MRR@2"] == 0.5


def test_cut_offs_beyond_the_catalogue_count_misses():
    tables = np.ones((1, 1), dtype=np.float32), np.ones((3, 1), dtype=np.float32)
    found = Evaluator(interactions([[0]], 3), seen=interactions([[]], 3), k=50)(*tables, "dot")
    assert found.metrics["Precision@50"] == 1 / 50
    assert found.metrics["Recall@50"] == 1.0


def test_cosine_and_dot_differ_where_lengths_do():
    users, items = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[1.0, 0.0], [9.0, 9.0]], dtype=np.float32)
    evaluator = Evaluator(interactions([[0]], 2), seen=interactions([[]], 2), k=1)
    assert evaluator(users, items, "cosine").metrics["Recall@1"] == 1.0
    assert evaluator(users, items, "dot").metrics["Recall@1"] == 0.0


def test_what_it_says():
    tables = np.ones((3, 1), dtype=np.float32), np.ones((4, 1), dtype=np.float32)
    held_out, seen = interactions([[0], [], [0]], 4), interactions([[1], [2], []], 4)
    found = Evaluator(held_out, seen=seen, k=(1, 2), protocol="paper")(*tables, "dot")
    printed = str(found)
    assert "2 users, 1 without held-out items skipped; protocol: paper" in printed
    assert "Recall        1.0000    1.0000" in printed
    assert "note: Recall@1 above 0.9" in printed
    assert json.loads(json.dumps(found.to_dict()))["protocol"] == "paper"
    assert found.to_dict()["users"] == 2
    assert found.to_dict()["skipped"] == 1
    assert found.users.tolist() == [0, 2]


def test_held_out_pairs_that_were_seen_are_noted():
    tables = np.ones((1, 1), dtype=np.float32), np.ones((4, 1), dtype=np.float32)
    found = Evaluator(interactions([[0, 1]], 4), seen=interactions([[1]], 4), k=1)(*tables, "dot")
    assert found.notes == ("1 held-out pairs were already seen: no list can hold them, yet they count in |R|.",)
    assert found.metrics["Recall@1"] == 0.5


def test_a_separately_read_test_file_is_matched_by_id():
    seen = Interactions.from_pairs(
        np.array([0, 1]), np.array([0, 0]), Vocabulary(["ann", "bob"], kind="user"), Vocabulary([7, 8, 9], kind="item")
    )
    tables = np.ones((2, 1), dtype=np.float32), np.array([[1], [3], [2]], dtype=np.float32)
    model = Recommender(*tables, similarity="dot", seen=seen)
    test = Interactions.from_pairs(
        np.array([0, 1, 1]),
        np.array([0, 0, 1]),
        Vocabulary(["bob", "eve"], kind="user"),
        Vocabulary([8, 5], kind="item"),
    )
    found = evaluate(model, test, k=1)
    assert found.metrics["Recall@1"] == 1.0
    assert found.n_users == 1
    assert "2 held-out pairs name a user or an item" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ArgumentError, "k must be 1 or more"),
        ({"k": ()}, ArgumentError, "k must hold at least one cut-off"),
        ({"protocol": "papr"}, ArgumentError, "Did you mean 'paper'"),
        ({"seen": interactions([[0]], 9)}, DataError, "must share their vocabularies"),
        ({"relevant": interactions([[]], 2)}, DataError, "none is left to evaluate on"),
    ],
)
def test_broken_arguments(change, error, message):
    arguments = {"relevant": interactions([[0]], 2), "seen": interactions([[1]], 2)} | change
    with pytest.raises(error, match=message):
        Evaluator(arguments.pop("relevant"), **arguments)


def test_tables_must_fit_the_data():
    evaluator = Evaluator(interactions([[0]], 2), seen=interactions([[1]], 2))
    good = np.ones((1, 1), dtype=np.float32)
    with pytest.raises(ArgumentError, match="item_table must have 2 rows"):
        evaluator(good, good, "dot")
    with pytest.raises(ArgumentError, match="user_table must be finite"):
        evaluator(good * np.nan, np.ones((2, 1), dtype=np.float32), "dot")


def test_an_unknown_metric_names_the_nearest():
    found = Evaluation({"Recall@20": 0.1}, n_users=1, n_skipped=0)
    with pytest.raises(ArgumentError, match=r"Did you mean 'Recall@20'"):
        found["recall@50"]
