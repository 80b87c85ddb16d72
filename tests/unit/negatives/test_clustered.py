"""Clusters of items and draws from them, against plain loops."""

import numpy as np
import pytest
import scipy.stats

from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, NoNegativesError
from multimargin.negatives import ClusteredNegatives
from multimargin.negatives.clusters import ItemClusters
from multimargin.negatives.vectors import cluster, read_vectors
from multimargin.rng import CounterRng


def vectors(n, seed=1, dim=3):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def begun(sampler, train, epoch=0, key=5, **given):
    sampler.build(train)
    sampler.start_epoch(epoch, rng=CounterRng(key, epoch), **given)
    return sampler


def test_clusters_are_those_of_plain_lloyd():
    points = vectors(60)
    start = np.random.default_rng(4).choice(60, 7, replace=False)
    centres = points[start].astype(np.float64)
    for _ in range(10):
        own = [int(np.argmin([np.sum((point - centre) ** 2) for centre in centres])) for point in points]
        for k in range(7):
            members = [point for point, each in zip(points, own, strict=True) if each == k]
            centres[k] = np.mean(members, axis=0) if members else centres[k]
    own = [int(np.argmin([np.sum((point - centre) ** 2) for centre in centres])) for point in points]
    found, found_centres = cluster(points, 7, np.random.default_rng(4))
    assert found.tolist() == own
    np.testing.assert_allclose(found_centres, centres, atol=1e-5)


def test_a_cluster_nobody_is_in_keeps_its_centre():
    points = np.array([[0.0, 0.0]] * 5 + [[1.0, 0.0]], dtype=np.float32)  # three centres, two places
    found, centres = cluster(points, 3, np.random.default_rng(0))
    assert np.isfinite(centres).all()
    assert len(set(found.tolist())) <= 2
    assert all((centres[own] == point).all() for own, point in zip(found, points, strict=True))


def law_by_hand(clusters, centres, positive, hard, temperature):
    """Return the law of an item's negatives, item by item, from the clusters' numbers."""
    coarse, cell, n, centres = clusters.coarse, clusters.cell, len(clusters.coarse), centres.astype(np.float64)
    kinds = {
        "hard": [j for j in range(n) if coarse[j] == coarse[positive] and cell[j] != cell[positive]],
        "easy": sorted({int(k) for k in coarse} - {int(coarse[positive])}),
    }
    law = np.zeros(n)
    if not kinds["hard"] and not kinds["easy"]:
        return np.full(n, 1 / n)
    share = hard if kinds["hard"] and kinds["easy"] else float(bool(kinds["hard"]))
    for j in kinds["hard"]:
        law[j] = share / len(kinds["hard"])
    weight = {k: np.exp(-np.linalg.norm(centres[coarse[positive]] - centres[k]) / temperature) for k in kinds["easy"]}
    for k in kinds["easy"]:
        members = np.flatnonzero(coarse == k)
        law[members] = (1 - share) * weight[k] / sum(weight.values()) / len(members)
    return law


@pytest.mark.parametrize(
    ("hard", "temperature", "coarse", "fine"), [(0.5, 1.0, 4, 3), (0.8, 0.2, 5, 2), (0.0, 1.0, 4, 3), (1.0, 1.0, 3, 4)]
)
def test_draws_follow_the_law_by_hand(hard, temperature, coarse, fine):
    points = vectors(40)
    options = {"hard": hard, "temperature": temperature}
    clusters = ItemClusters(points, coarse, fine, rng=np.random.default_rng(3), **options)
    centres = cluster(points, coarse, np.random.default_rng(3))[1]  # the first that is drawn from the generator
    for positive in (0, 7, 23):
        law = law_by_hand(clusters, centres, positive, hard, temperature)
        np.testing.assert_allclose(clusters.law(np.array([positive]))[0], law, atol=1e-6)
        drawn = clusters.draw(np.full(500, positive), 100, CounterRng(11))
        counts = np.bincount(drawn.ravel(), minlength=40)
        assert counts[law == 0].sum() == 0
        assert scipy.stats.chisquare(counts[law > 0], law[law > 0] * counts.sum()).pvalue > 1e-4


def test_fine_clusters_are_of_what_is_left_over():
    points, rng = vectors(40), np.random.default_rng(3)
    clusters = ItemClusters(points, 4, 3, hard=0.5, temperature=1.0, rng=np.random.default_rng(3))
    coarse, centres = cluster(points, 4, rng)
    fine, _ = cluster(np.array([point - centres[k] for point, k in zip(points, coarse, strict=True)]), 3, rng)
    assert clusters.coarse.tolist() == coarse.tolist()
    assert (clusters.cell % 3).tolist() == fine.tolist()


@pytest.mark.parametrize(("points", "hard"), [(np.ones((12, 2)), 0.5), (np.eye(12)[:, :2], 1.0), (np.eye(12), 0.0)])
def test_a_kind_that_is_empty_leaves_its_share_to_the_other(points, hard):
    points = points.astype(np.float32)
    clusters = ItemClusters(points, 3, 2, hard=hard, temperature=1.0, rng=np.random.default_rng(1))
    centres = cluster(points, 3, np.random.default_rng(1))[1]
    for positive in range(12):
        law = law_by_hand(clusters, centres, positive, hard, 1.0)
        np.testing.assert_allclose(clusters.law(np.array([positive]))[0], law, atol=1e-6)
        drawn = clusters.draw(np.array([positive]), 500, CounterRng(2))
        assert set(drawn[0].tolist()) <= set(np.flatnonzero(law).tolist())


def test_vectors_come_from_an_array_a_file_or_the_model(small, tmp_path):
    given = vectors(small.n_items) * 7
    np.save(tmp_path / "vectors.npy", given)
    options = {"coarse": 4, "fine": 2}
    by_array = begun(ClusteredNegatives(given, **options), small)
    by_file = begun(ClusteredNegatives(tmp_path / "vectors.npy", **options), small)
    by_model = begun(ClusteredNegatives(**options), small, item_vectors=given)
    users, positives = np.array([5, 2, 4]), np.array([0, 7, 2])
    laws = [each.probabilities(users, positives=positives) for each in (by_array, by_file, by_model)]
    np.testing.assert_array_equal(laws[0], laws[1])
    np.testing.assert_array_equal(laws[0], laws[2])
    assert (by_array.needs, by_model.needs) == (frozenset(), {"tables"})
    kept = by_array._clusters
    for each, moved in ((by_array, {}), (by_model, {"item_vectors": vectors(small.n_items, 9)})):
        each.start_epoch(1, rng=CounterRng(5, 1), **moved)
    assert by_array._clusters is kept
    assert np.abs(by_model.probabilities(users, positives=positives) - laws[2]).sum() > 0.1
    resumed = begun(ClusteredNegatives(given, **options), small, epoch=3)
    np.testing.assert_array_equal(resumed.probabilities(users, positives=positives), laws[0])


def test_seen_items_are_masked_or_not(small):
    given = vectors(small.n_items)
    users, positives = np.array([5, 2, 4]), np.array([0, 7, 2])
    drawn = begun(ClusteredNegatives(given), small).sample(users, positives, 200, rng=CounterRng(3))
    for user, row, counts in zip(users.tolist(), drawn.index, drawn.mask, strict=True):
        seen = set(small.items_of(user).tolist())
        assert counts.tolist() == [item not in seen for item in row.tolist()]
    assert not drawn.mask.all()
    assert (
        begun(ClusteredNegatives(given, exclude_seen=False), small).sample(users, positives, 9, rng=CounterRng(3)).mask
        is None
    )


def test_lengths_become_one():
    found = read_vectors([[3.0, 4.0], [0.0, 0.0]], Vocabulary.range(2))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClusteredNegatives(coarse=1), "coarse must be 2 or more"),
        (lambda: ClusteredNegatives(fine=1), "fine must be 2 or more"),
        (lambda: ClusteredNegatives(hard=1.1), "hard must be at least 0 and at most 1"),
        (lambda: ClusteredNegatives(temperature=0.0), "temperature must be above 0"),
        (
            lambda: read_vectors(np.ones((3, 2)), Vocabulary.range(4)),
            "item_vectors must be one row for each of 4 items",
        ),
        (lambda: read_vectors(np.full((3, 2), np.nan), Vocabulary.range(3)), "item_vectors must be finite"),
    ],
)
def test_broken_arguments_are_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_an_epoch_must_have_begun(small):
    sampler = ClusteredNegatives()
    sampler.build(small)
    with pytest.raises(ArgumentError, match="an epoch begun"):
        sampler.sample(np.array([5]), np.array([0]), 2, rng=CounterRng(1))
    with pytest.raises(NoNegativesError):
        sampler.build(from_one(small))
        sampler.sample(np.array([1]), np.array([0]), 2, rng=CounterRng(1))


def from_one(train):
    """Return interactions in which user 1 has all items."""
    from multimargin.data.interactions import Interactions

    users = np.append(train.user_index, 1)
    return Interactions.from_pairs(users, np.append(train.indices, 17), train.users, train.items)
