"""Where each user's k best items begin, estimated from their own items and a pool of others, now and then."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from multimargin import checks
from multimargin.losses.facts import Statistics

_USERS = 512  # whose scores are held at a time


class TopThreshold(nn.Module):
    r"""The score :math:`\beta_u` of each user's k-th best among their own items and a pool of uniform draws.

    It is 0 until the first refresh. The pool is drawn anew at each, one for all users.

    Args:
        k: cut-off, 1 or more.
        refresh_every: epochs between refreshes, 1 or more.
        pool_size: items drawn, ``k`` or more.
    """

    values: Tensor
    items: Tensor
    seed: Tensor

    def __init__(self, k: int, refresh_every: int, pool_size: int):
        super().__init__()
        self.k = checks.positive_int("k", k)
        self.refresh_every = checks.positive_int("refresh_every", refresh_every)
        self.pool_size = checks.at_least("pool_size", pool_size, self.k)
        self.ready = False

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Take each user's items, of the most active ones no more than nine tenths of the users have."""
        counts = statistics.user_counts
        width = max(int(np.percentile(counts, 90)), 1)
        order = np.argsort(statistics.user_index, kind="stable")
        users, items = statistics.user_index[order], statistics.item_index[order]
        place = np.arange(len(users)) - (np.cumsum(counts) - counts)[users]
        kept = place < width
        table = np.full((statistics.n_users, width), -1, dtype=np.int64)  # (U, width); -1: none
        table[users[kept], place[kept]] = items[kept]
        self.register_buffer("items", torch.from_numpy(table), persistent=False)
        self.register_buffer("values", torch.zeros(statistics.n_users))
        self.register_buffer("seed", torch.tensor(int(rng.integers(1 << 31))))
        self.ready = True

    def refresh(self, epoch: int, user_vectors: Float[Tensor, "U D"], item_vectors: Float[Tensor, "I D"]) -> None:
        """Estimate the thresholds anew if it is time: at epochs ``refresh_every``, twice that, and so on."""
        if epoch == 0 or epoch % self.refresh_every:
            return
        rng = np.random.default_rng((int(self.seed), epoch))
        drawn = torch.from_numpy(rng.integers(len(item_vectors), size=self.pool_size)).to(item_vectors.device)
        pool = item_vectors[drawn]  # (pool, D)
        for block in torch.split(torch.arange(len(user_vectors), device=user_vectors.device), _USERS):
            queries, own = user_vectors[block], self.items[block]  # (b, D), (b, width)
            mine = (item_vectors[own.clamp(min=0)] @ queries[:, :, None])[:, :, 0]  # (b, width)
            mine = torch.where(own >= 0, mine, -torch.inf)
            scores = torch.cat((mine, queries @ pool.T), dim=1)  # (b, width + pool)
            self.values[block] = scores.topk(self.k, dim=1).values[:, -1]
