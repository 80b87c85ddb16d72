"""ALS: what we hand to the package, what we do with what it returns, and, where it is installed, the package itself."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from baseline_cases import some_interactions
from fake_implicit import install

import multimargin as mm

LOG = some_interactions()
SETTINGS = {"embedding_dim": 5, "regularization": 0.5, "confidence": 3.0, "iterations": 4}


def check_fold_in(model, *, atol):
    """A known user's own history gives the vector that training ended with, where its last step was the users'."""
    for user in (0, 1, 28):
        folded = model.scorer.fold_in(LOG.items_of(user))
        np.testing.assert_allclose(folded, model.user_table[user], atol=atol)
    np.testing.assert_allclose(model.fold_in([1, 2]), model.fold_in([2, 1, 1]), rtol=1e-6)


def test_a_user_folded_in_has_the_vector_of_training(monkeypatch):
    install(monkeypatch)
    model = mm.fit(LOG, encoder=mm.ALS(**SETTINGS))
    assert model.similarity == "dot"
    assert model.item_table.shape == (37, 5)
    check_fold_in(model, atol=1e-5)
    new, known = model.recommend_for(LOG.items_of(4).tolist(), 5), model.recommend(4, 5)
    assert new["item_id"].to_list() == known["item_id"].to_list()
    assert model.scorer.among(np.array([1, 2])).settings() == model.scorer.settings()


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit", None)
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(
        mm.ArgumentError, match=r"als must find the package implicit; .* pip install 'multimargin\[als\]'"
    ):
        mm.fit(LOG, encoder=mm.ALS())


@pytest.mark.skipif(find_spec("implicit") is None, reason="the package implicit is not installed")
def test_the_package_itself():
    """Its users are solved by a few steps of conjugate gradients, before the last step of the items."""
    model = mm.fit(LOG, encoder=mm.ALS(5, regularization=0.5, confidence=3.0, iterations=200))
    check_fold_in(model, atol=2e-2)
    lists = model.recommend(k=3)
    assert lists["rank"].to_list()[:3] == [1, 2, 3]
    other = mm.fit(LOG, encoder=mm.ALS(5, regularization=0.5, confidence=3.0, iterations=200), seed=1)
    assert not np.array_equal(other.item_table, model.item_table)


@pytest.mark.parametrize("name", ["embedding_dim", "regularization", "confidence", "iterations"])
def test_broken_arguments_are_named(name):
    with pytest.raises(mm.ArgumentError, match=f"{name} must be"):
        mm.ALS(**{name: -1})
