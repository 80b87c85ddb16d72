"""Products with rows picked by index."""

import pytest
import torch

from multimargin.losses import indexed_products as module
from multimargin.losses.indexed_products import indexed_products


@pytest.mark.parametrize("elements", [1, 50, 1 << 22])
def test_equals_picking_all_rows(monkeypatch, elements):
    monkeypatch.setattr(module, "_ELEMENTS", elements)
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn((7, 5), generator=generator, dtype=torch.float64, requires_grad=True)
    table = torch.randn((11, 5), generator=generator, dtype=torch.float64, requires_grad=True)
    index = torch.randint(11, (7, 3), generator=generator)
    upstream = torch.randn((7, 3), generator=generator, dtype=torch.float64)
    expected = (queries[:, None, :] * table[index]).sum(-1)
    found = indexed_products(queries, table, index)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (queries, table), upstream),
        torch.autograd.grad(expected, (queries, table), upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
