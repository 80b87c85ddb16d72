"""What any loss is handed, made up: scores and, where it needs them, indices, vectors and log-probabilities."""

import copy

import numpy as np
import torch

from multimargin.losses.facts import Statistics

N_USERS, N_ITEMS, DIM, COMPANY = 7, 31, 5, 4
PAIRS = np.array([(u, i) for u in range(N_USERS) for i in range(N_ITEMS) if (5 * u + i * i) % 7 < 2])
STATISTICS = Statistics(N_USERS, N_ITEMS, PAIRS[:, 0], PAIRS[:, 1])
ALONG_N = {"mask", "log_q", "negatives", "negative_vectors"}  # (B, N, ...); all others are (B, ...)


def unit(*shape, generator):
    return torch.nn.functional.normalize(torch.randn(*shape, DIM, generator=generator, dtype=torch.float64), dim=-1)


def prepared(make, **arguments):
    """Return a loss that is ready to be called, an epoch begun."""
    loss = make(**arguments)
    loss.prepare(STATISTICS, rng=np.random.default_rng(3))
    start_epoch(loss, 0)
    return loss


def start_epoch(loss, epoch):
    generator = torch.Generator().manual_seed(epoch)
    vectors = {
        "user_vectors": unit(N_USERS, generator=generator).float(),
        "item_vectors": unit(N_ITEMS, generator=generator).float(),
    }
    loss.start_epoch(epoch, **(vectors if "tables" in loss.needs else {}))


def extras_for(loss, rows, columns, *, seed=0, dtype=torch.float64):
    """Return the keywords that ``loss`` needs for a batch of ``rows`` users with ``columns`` negatives."""
    generator = torch.Generator().manual_seed(seed + 100)
    pairs = torch.from_numpy(PAIRS)[torch.randint(len(PAIRS), (rows,), generator=generator)]
    negatives = torch.randint(N_ITEMS, (rows, columns), generator=generator)

    def scores(k):
        return torch.rand((rows, k), generator=generator, dtype=torch.float64) * 2 - 1

    every = {
        "users": pairs[:, 0],
        "positives": pairs[:, 1],
        "negatives": negatives,
        "extra_positives": torch.randint(N_ITEMS, (rows, loss.extra_positives), generator=generator),
        "log_q": torch.rand((rows, columns), generator=generator, dtype=torch.float64).log(),
        "user_vectors": unit(rows, generator=generator),
        "positive_vectors": unit(rows, generator=generator),
        "negative_vectors": unit(rows, columns, generator=generator),
    }
    found = {name: value for name, value in every.items() if name in loss.needs}
    if "companion_scores" in loss.needs:
        found["companion_scores"] = scores(loss.companions(pairs[:, 1]).shape[1])
    if loss.extra_positives:
        found["extra_positive_scores"] = scores(loss.extra_positives)
    dtypes = {"log_q": torch.promote_types(dtype, torch.float32)}  # of the sampler, not of the model
    return {
        name: value.to(dtypes.get(name, dtype)) if value.is_floating_point() else value for name, value in found.items()
    }


def value(loss, pos, neg, **keywords):
    """Return the loss by a copy, so that what it remembers stays as it was."""
    return copy.deepcopy(loss)(pos, neg, **keywords)


def with_rows(extras, change):
    """Return ``extras`` with ``change`` done to the rows of each."""
    return {name: change(each) for name, each in extras.items()}


def with_columns(extras, change):
    """Return ``extras`` with ``change`` done to whatever has N columns."""
    return {name: change(each) if name in ALONG_N else each for name, each in extras.items()}
