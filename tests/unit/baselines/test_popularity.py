"""The most popular items."""

import numpy as np
from baseline_cases import best, dense, some_interactions

import multimargin as mm

LOG = some_interactions()


def test_lists_are_by_count_less_what_is_seen():
    model = mm.fit(LOG, encoder=mm.MostPopular())
    table = dense(LOG)
    for user in range(LOG.n_users):
        lists = model.recommend(user, 5)
        assert lists["item_id"].to_list() == best(table.sum(0), 5, set(LOG.items_of(user)))
        assert lists["score"].to_list() == table.sum(0)[lists["item_id"].to_list()].tolist()


def test_published_numbers(real_data):
    """BARS on Gowalla: Recall@20 .04163, NDCG@20 .03169, and @50 .06237, .03789."""
    split = mm.read_parts(real_data / "gowalla")
    found = mm.evaluate(mm.fit(split.train, encoder=mm.MostPopular()), split.test, k=(20, 50))
    expected = {"Recall@20": 0.04163, "NDCG@20": 0.03169, "Recall@50": 0.06237, "NDCG@50": 0.03789}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=5e-5)
