"""Training as plain PyTorch does it, in float64: what both engines must equal; and small data to train on."""

import numpy as np
import torch

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.kernels.draws import dropout_scale
from multimargin.rng import CounterRng, Streams


def random_interactions(n_users=40, n_items=97, per_user=5, seed=0, *, timed=False):
    """Return interactions of users with 0 to ``2 * per_user`` items each, if asked with times."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, n_users, n_users * per_user)
    items = rng.integers(0, n_items, len(users))
    vocabularies = Vocabulary.range(n_users, kind="user"), Vocabulary.range(n_items, kind="item")
    timestamps = rng.integers(0, 99, len(users)) if timed else None
    return Interactions.from_pairs(users, items, *vocabularies, timestamps=timestamps)


def train_plainly(trainer, train, *, encoder, loss, negatives):
    """Return user table, item table and the mean loss of each epoch of the setting of ``trainer``.

    Gathers, normalises, multiplies, lets autograd and dense Adam do the rest, all in float64; the draws are the
    library's. ``weight_decay`` counts for the rows of a step only, as documented.
    """
    streams = Streams(trainer.seed)
    encoder.build(train, rng=streams.generator("init"))
    negatives.build(train)
    tables = [torch.nn.Parameter(table.detach().double()) for table in encoder.tables()]
    loss = loss.double()
    adam = torch.optim.Adam(tables, lr=trainer.learning_rate)
    n, history = len(train), []
    for epoch in range(trainer.epochs):
        order = streams.generator("shuffle", epoch).permutation(n)
        total = 0.0
        for start in range(0, n, trainer.batch_size):
            pairs, place = order[start : start + trainer.batch_size], epoch * n + start
            users, positives = (x[pairs].astype(np.int64) for x in (train.user_index, train.indices))
            rng = CounterRng(streams.key("negatives"), place)
            found = negatives.sample(users, positives, trainer.n_negatives, rng=rng)
            drawn = torch.from_numpy(found.index).expand(len(users), -1)  # a shared set too
            mask = None if found.mask is None else torch.from_numpy(found.mask)
            users, positives = torch.from_numpy(users), torch.from_numpy(positives)
            query, positive, negative = tables[0][users], tables[1][positives], tables[1][drawn]
            if encoder.similarity == "cosine":
                query, positive, negative = (
                    torch.nn.functional.normalize(each, dim=-1, eps=1e-12) for each in (query, positive, negative)
                )
            if trainer.dropout:
                scale = dropout_scale(streams.key("dropout"), place, *query.shape, trainer.dropout)
                query = query * torch.from_numpy(scale)
            extras = {"users": users} if "users" in loss.needs else {}
            scores = (query * positive).sum(-1), torch.einsum("bd,bnd->bn", query, negative)
            value = loss(*scores, mask=mask, **extras)
            adam.zero_grad()
            value.backward()
            if trainer.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(tables, trainer.clip_norm)
            if trainer.weight_decay:  # of the batch's users, and of items with a pair above the smallest margin
                for table, moved in ((tables[0], users), (tables[1], tables[1].grad.any(dim=1).nonzero()[:, 0])):
                    moved = torch.unique(moved)
                    table.grad[moved] += trainer.weight_decay * table.detach()[moved]
            adam.step()
            total += value.item() * len(pairs)
        history.append(total / n)
    return tables[0].detach(), tables[1].detach(), history
