"""What ``multimargin list`` and the manual say of losses, samplers and encoders is true, and the pages are fresh."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from loss_inputs import N_ITEMS, extras_for, prepared, value

from multimargin.losses import LOSSES, Statistics
from multimargin.recipes.entries import KINDS, Entry, entries

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = [pytest.param(entry, id=entry.name) for kind in KINDS for entry in entries(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_are_what_their_script_makes(kind):
    spec = importlib.util.spec_from_file_location("make_manual", DOCS / "make_manual.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made, found = script.page(kind), (DOCS / f"{kind}.md").read_text(encoding="utf-8")
    assert made == found, f"docs/{kind}.md is stale. Run: python docs/make_manual.py"


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_says_what_it_is_and_where_it_comes_from(entry):
    assert 10 < len(entry.summary) < 200
    assert entry.source
    if "Use" in entry.sections or not issubclass(entry.entry, torch.nn.Module) or entry.name in LOSSES:
        assert entry.family, "Use must read 'family: what you have'"
        assert entry.use


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_needs_scores_where_they_have_a_gradient(name):
    loss = prepared(LOSSES[name]).float()
    pos, neg = torch.linspace(-1, 1, 5, requires_grad=True), torch.linspace(-1, 1, 35).reshape(5, 7).requires_grad_()
    found = value(loss, pos, neg, **extras_for(loss, 5, 7, dtype=torch.float32))
    moved = (
        [each is not None for each in torch.autograd.grad(found, (pos, neg), allow_unused=True)]
        if found.requires_grad
        else [False]
    )
    assert any(moved) == ("scores" in Entry(name, LOSSES[name]).needs)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_needs_counts_and_pairs_where_other_data_change_it(name):
    """Other pairs, one more of them, and it says so; none, and nothing of it changes."""

    def state(pairs):
        loss = LOSSES[name]()
        loss.prepare(Statistics(4, N_ITEMS, pairs[:, 0], pairs[:, 1]), rng=np.random.default_rng(3))
        return [each.clone() for each in (*loss.buffers(), *loss.parameters())], repr(loss)

    first, shown = state(np.array([[0, 0], [0, 1], [1, 1], [2, 5], [3, 7], [3, 11], [3, 12]]))
    second, then_shown = state(np.array([[0, 0], [1, 3], [1, 4], [1, 9], [2, 6], [2, 7], [3, 7], [3, 9]]))
    same = shown == then_shown and all(
        one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
        for one, other in zip(first, second, strict=True)
    )
    assert same == (not {"counts", "training pairs"} & set(Entry(name, LOSSES[name]).needs))


@pytest.mark.parametrize(
    ("kind", "name", "needs"),
    [
        ("losses", "multi-margin", ["scores", "training pairs"]),
        ("losses", "optimal-negatives", ["vectors"]),
        ("losses", "warp", ["scores"]),
        ("losses", "variational-bpr", ["scores", "scores of more positives", "item ids", "counts"]),
        ("losses", "graph-constraint",
         ["scores", "user ids", "item ids", "scores of more items", "counts", "training pairs"]),
        ("negatives", "uniform", []),
        ("negatives", "popularity", ["counts"]),
        ("negatives", "high-variance", ["scores", "all vectors"]),
        ("negatives", "clustered", ["all vectors", "item vectors (optional)"]),
    ],
)  # fmt: skip
def test_needs_of_some(kind, name, needs):
    assert next(entry for entry in entries(kind) if entry.name == name).needs == needs
