"""SASRec against a loop over users and places; nothing later is seen; windows, order, dropout and histories."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_training import random_interactions
from torch.nn.functional import layer_norm

from multimargin.data.splits import LeaveLastOut
from multimargin.encoders import SASRec
from multimargin.encoders.sequences import Sequences
from multimargin.errors import ArgumentError, DataError
from multimargin.losses import SigmoidCrossEntropyLoss
from multimargin.negatives import PreferenceNegatives, UniformNegatives
from multimargin.rng import CounterRng
from multimargin.train.loop import Trainer

LENGTHS = [50, 6, 5, 1]  # longer than any history, and shorter than some


def built(train, **options):
    encoder = SASRec(6, **{"init_std": 0.5, "n_heads": 2, "inner_dim": 5} | options)
    encoder.build(train, rng=np.random.default_rng(0))
    with torch.no_grad():  # else norms and shifts play no part
        for parameter in encoder.parameters():
            parameter += torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, parameter.shape))
    return encoder.double().eval()


def in_order(train, user):
    """Return a user's interactions by time, those of one time by item."""
    own = range(train.indptr[user], train.indptr[user + 1])
    return sorted(own, key=lambda each: (train.timestamps[each], train.indices[each]))


def plain_vector(encoder, items):
    """Return the vector after ``items``, one head and one place at a time."""
    dim, heads = encoder.embedding_dim, encoder.n_heads
    x = [encoder.place_table[0]]
    x += [encoder.item_table[item] * dim**0.5 + encoder.place_table[1 + at] for at, item in enumerate(items)]
    for block in encoder.blocks:
        ask, key, value = block.asked_and_held.split(dim)
        normed = [layer_norm(each, (dim,), block.norm_1, block.shift_1) for each in x]
        after = []
        for at in range(len(x)):
            found = []
            for head in range(heads):
                part = slice(head * dim // heads, (head + 1) * dim // heads)
                query = (ask @ normed[at])[part]
                logits = [query @ (key @ each)[part] / (dim / heads) ** 0.5 for each in normed[: at + 1]]
                weights = torch.stack(logits).exp() / sum(each.exp() for each in logits)
                found.append(sum(w * (value @ each)[part] for w, each in zip(weights, normed[: at + 1], strict=True)))
            y = x[at] + block.out @ torch.cat(found)
            inner = block.inner @ layer_norm(y, (dim,), block.norm_2, block.shift_2) + block.inner_bias
            after.append(y + block.outer @ inner.clamp(min=0) + block.outer_bias)
        x = after
    return layer_norm(x[-1], (dim,), encoder.norm, encoder.shift)


def beginning(at, longest):
    """Return where the window begins that serves the interaction at this place of a sequence."""
    start = 0
    while at - start > longest:
        start += max(longest * 3 // 4, 1)
    return start


@pytest.mark.parametrize("longest", LENGTHS)
class TestVectors:
    def test_of_users_are_those_of_a_loop(self, timed, longest):
        encoder = built(timed, max_length=longest)
        items = [[int(timed.indices[each]) for each in in_order(timed, user)][-longest:] for user in range(12)]
        expected = torch.stack([plain_vector(encoder, each) for each in items])
        torch.testing.assert_close(encoder.tables()[0], expected)
        wanted = torch.tensor([5, 0, 1, 5])
        torch.testing.assert_close(encoder.encode_users(wanted), expected[wanted])

    def test_of_interactions_are_those_of_what_came_before(self, timed, longest):
        encoder = built(timed, max_length=longest)
        expected = {}
        for user in range(12):
            order = in_order(timed, user)
            for at, each in enumerate(order):
                before = [int(timed.indices[other]) for other in order[beginning(at, longest) : at]]
                expected[each] = plain_vector(encoder, before)
        every = np.random.default_rng(0).permutation(len(timed))  # all of them, in any order
        for chosen in (every, every[:3]):
            users = torch.from_numpy(timed.user_index[chosen].astype(np.int64))
            found = encoder.encode_queries(users, torch.from_numpy(chosen))
            torch.testing.assert_close(found, torch.stack([expected[each] for each in chosen]))

    def test_see_nothing_later(self, timed, longest):
        order = in_order(timed, 1)
        changed = int(timed.indices[order[9]])
        free = ({*range(timed.n_items)} - {*timed.items_of(1).tolist()}).pop()
        pairs = timed.indices.copy()
        pairs[order[9]] = free
        other = type(timed).from_pairs(
            timed.user_index, pairs, timed.users, timed.items, timestamps=np.arange(len(pairs))
        )
        ranks = np.empty(len(pairs), dtype=np.int64)
        ranks[np.lexsort((timed.timestamps, timed.user_index))] = np.arange(len(pairs))
        same = replace(timed, timestamps=ranks)
        other = type(timed).from_pairs(timed.user_index, pairs, timed.users, timed.items, timestamps=ranks)
        rows = []
        for log in (same, other):
            mine = torch.tensor(in_order(log, 1))
            rows.append(built(log, max_length=longest).encode_queries(torch.ones_like(mine), mine))
        assert changed != free
        assert torch.equal(rows[0][:10], rows[1][:10])  # to the last bit
        assert not torch.isclose(rows[0][10], rows[1][10]).all()

    def test_have_the_gradient_of_the_loop(self, timed, longest):
        encoder = built(timed, max_length=longest)
        mine = torch.tensor(in_order(timed, 1))
        encoder.encode_queries(torch.ones_like(mine), mine).square()[:, 0].sum().backward()
        found = {name: each.grad.to_dense().clone() for name, each in encoder.named_parameters()}
        encoder.zero_grad()
        items = timed.indices[mine.numpy()].tolist()
        total = 0
        for at in range(len(items)):
            total = total + plain_vector(encoder, items[beginning(at, longest) : at])[0].square()
        total.backward()
        for name, each in encoder.named_parameters():
            torch.testing.assert_close(found[name], each.grad, msg=name)


def test_a_user_without_history_has_the_vector_of_the_first_place(timed):
    encoder = built(timed)
    assert timed.user_counts[0] == 0
    torch.testing.assert_close(encoder.tables()[0][0], plain_vector(encoder, []))


def test_windows_cover_a_long_sequence_and_none_is_longer(timed):
    sequences = Sequences(timed, 6, wanted_by="a test")
    mine = np.array(in_order(timed, 1))
    windows, places = sequences.before(np.ones_like(mine), mine)
    assert windows.sizes.max() == 7
    assert (np.diff(windows.sizes) >= 0).all()
    seen = windows.within[places]
    assert seen.tolist() == [0, 1, 2, 3, 4, 5, 6, *([3, 4, 5, 6] * 4)][: len(mine)]
    assert sequences.read_of(np.array([1, 0, 1])).tolist() == timed.items_of(1).tolist()


def test_reads_the_rows_that_it_says(timed):
    encoder = built(timed)
    users = torch.tensor([2, 2, 4])
    rows = encoder.rows_read(users, torch.tensor([0]))[encoder.item_table]
    assert rows.tolist() == sorted({*timed.items_of(2).tolist(), *timed.items_of(4).tolist()})


def test_times_are_required(small):
    with pytest.raises(DataError, match="SASRec must have timestamps"):
        SASRec().build(small, rng=np.random.default_rng(0))


def test_heads_divide_the_dimension():
    with pytest.raises(ArgumentError, match="n_heads must divide embedding_dim"):
        SASRec(6, n_heads=4)


def test_knows_users_by_a_longer_history(timed):
    train, valid, _ = timed.split(LeaveLastOut())
    encoder, known = built(train), train.union([valid])
    after = encoder.user_table_after(known)
    torch.testing.assert_close(after, built(known).tables()[0])
    assert not torch.isclose(after[1], encoder.tables()[0][1]).all()


class TestDropout:
    def test_is_drawn_by_the_step(self, timed):
        encoder = built(timed, dropout=0.5).train()
        mine = torch.tensor(in_order(timed, 1))
        users = torch.ones_like(mine)
        whole = encoder.encode_queries(users, mine)  # outside of a step
        torch.testing.assert_close(whole, encoder.eval().encode_queries(users, mine))
        encoder.train()
        rows = []
        for place in (0, 0, 1):
            encoder.start_step(CounterRng(7, place))
            rows.append(encoder.encode_queries(users, mine))
        assert torch.equal(rows[0], rows[1])
        assert not torch.isclose(rows[0], rows[2]).all()
        assert not torch.isclose(rows[0], whole).all()

    def test_keeps_the_sum_on_average(self, timed):
        encoder = built(timed, dropout=0.3, n_blocks=1).train()
        seen = []
        encoder.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        mine = torch.tensor(in_order(timed, 1))
        for place in range(800):
            encoder.start_step(CounterRng(7, place))
            encoder.encode_queries(torch.ones_like(mine), mine)
        encoder.eval().encode_queries(torch.ones_like(mine), mine)
        dropped = torch.stack(seen[:-1])
        assert abs((dropped == 0).double().mean().item() - 0.3) < 0.01
        torch.testing.assert_close(dropped.mean(0), seen[-1], atol=0.25, rtol=0.1)


def test_a_sampler_that_looks_at_scores_gets_those_of_the_step():
    """What the model prefers at a place, not after all of the history: GenNi's law."""
    train, asked = random_interactions(timed=True), []

    class Asks(PreferenceNegatives):
        def sample(self, users, positives, n, *, rng, scorer=None):
            asked.append((users, positives, scorer(users, np.arange(97))))
            return super().sample(users, positives, n, rng=rng, scorer=scorer)

    encoder = SASRec(8, init_std=0.3, dropout=0.0)
    trainer = Trainer(n_negatives=2, batch_size=10_000, learning_rate=1e-12, epochs=1, dropout=0.0, device="cpu")
    trainer.fit(train, encoder=encoder, loss=SigmoidCrossEntropyLoss(), negatives=Asks(), progress=False)
    users, positives, scores = asked[0]
    place = {(int(u), int(i)): n for n, (u, i) in enumerate(zip(train.user_index, train.indices, strict=True))}
    interactions = torch.tensor([place[pair] for pair in zip(users.tolist(), positives.tolist(), strict=True)])
    with torch.no_grad():
        rows = encoder.eval().encode_queries(torch.from_numpy(users), interactions)
    np.testing.assert_allclose(scores, (rows @ encoder.item_table.T).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_learns_what_comes_next():
    """Items follow one another in a ring: what comes next is known by the last, and not by the set."""
    starts = np.arange(40) % 20
    items = (starts[:, None] + np.arange(8)) % 20
    users = np.repeat(np.arange(40), 8)
    train = random_interactions(40, 20)
    train = type(train).from_pairs(users, items.ravel(), train.users, train.items, timestamps=np.tile(np.arange(8), 40))
    encoder = SASRec(16, n_blocks=1, dropout=0.0)
    trainer = Trainer(n_negatives=8, batch_size=64, learning_rate=0.01, epochs=25, dropout=0.0, device="cpu")
    loss, negatives = SigmoidCrossEntropyLoss(), UniformNegatives()
    trainer.fit(train, encoder=encoder, loss=loss, negatives=negatives, progress=False)
    with torch.no_grad():
        user_table, item_table = encoder.eval().tables()
    assert ((user_table @ item_table.T).argmax(1).numpy() == (starts + 8) % 20).mean() >= 0.95
