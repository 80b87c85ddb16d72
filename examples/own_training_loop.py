"""A training loop of your own: loss, negatives, scores and optimiser without our loop.

Run it with ``python examples/own_training_loop.py``. Each part also works alone: the loss takes any scores, the sampler
gives NumPy indices, ``sampled_scores`` is differentiable, ``LazyAdam`` is a ``torch.optim.Optimizer``.
"""

import torch

import multimargin as mm

N, B, D, EPOCHS = 50, 512, 32, 5


def main() -> list[float]:
    log = mm.make_synthetic(300, 200, rng=0).interactions
    users, items = (torch.tensor(index, dtype=torch.int64) for index in (log.user_index, log.indices))
    torch.manual_seed(0)
    user_table, item_table = (torch.nn.Parameter(0.01 * torch.randn(n, D)) for n in (log.n_users, log.n_items))
    criterion = mm.MultiMarginLoss(neg_weight=20)  # fit sets it from the data, a loop of your own says it
    negatives = mm.UniformNegatives(exclude_seen=True)
    negatives.build(log)
    optimizer = mm.LazyAdam([user_table, item_table], lr=0.01)
    losses = []
    for epoch in range(EPOCHS):
        total, order = 0.0, torch.randperm(len(log))
        for start in range(0, len(log), B):
            u, i = users[order[start : start + B]], items[order[start : start + B]]
            rng = mm.CounterRng(key=0, offset=epoch * len(log) + start)  # the same place, the same draw
            j = torch.from_numpy(negatives.sample(u.numpy(), i.numpy(), N, rng=rng).index)  # (B, N)
            optimizer.catch_up(user_table, u)  # before rows are read: what dense Adam would have done meanwhile
            optimizer.catch_up(item_table, torch.cat((i, j.flatten())))
            pos_scores, neg_scores = mm.sampled_scores(user_table, item_table, u, i, j, sparse=True)
            loss = criterion(pos_scores, neg_scores)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(u)
        optimizer.settle()  # before whole tables are read: evaluation, saving
        losses.append(total / len(log))
        print(f"epoch {epoch + 1}  loss {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
