"""What holds for every encoder in ENCODERS, found by itself."""

import random

import numpy as np
import pytest
import torch

from multimargin.encoders import ENCODERS


@pytest.fixture(params=sorted(ENCODERS))
def make(request, timed):
    def make(seed=0):
        encoder = ENCODERS[request.param]()
        encoder.build(timed, rng=np.random.default_rng(seed))
        return encoder

    return make


def test_tables_have_a_row_for_every_user_and_item(make, small):
    users, items = make().tables()
    assert users.shape[0] == small.n_users
    assert items.shape[0] == small.n_items
    assert users.shape[1] == items.shape[1]
    assert users.dtype == items.dtype == torch.float32
    assert torch.isfinite(users).all()
    assert torch.isfinite(items).all()


def test_tables_are_differentiable_down_to_every_parameter(make):
    encoder = make()
    sum(table.square().sum() for table in encoder.tables()).backward()
    parameters = list(encoder.parameters())
    assert parameters
    assert all(parameter.grad is not None for parameter in parameters)


def test_same_rng_same_tables(make):
    for one, other in zip(make(1).tables(), make(1).tables(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(make(1).tables(), make(2).tables(), strict=True):
        assert not torch.equal(one, other)


def test_no_other_randomness_is_touched(make):
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    make().tables()
    assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]


def test_declares_its_similarity(make):
    assert make().similarity in {"cosine", "dot"}


def test_rows_are_those_of_the_tables(make):
    encoder = make().eval()
    users, items = encoder.tables()
    wanted = torch.tensor([3, 0, 3, 11])
    torch.testing.assert_close(encoder.encode_users(wanted), users[wanted])
    torch.testing.assert_close(encoder.encode_items(wanted), items[wanted])


def test_an_encoder_that_is_a_table_returns_its_parameters(make):
    encoder = make()
    if encoder.is_table:
        assert {id(table) for table in encoder.tables()} == {id(parameter) for parameter in encoder.parameters()}


def test_state_makes_the_same_tables(make):
    encoder, other = make(1), make(2)
    other.load_state_dict(encoder.state_dict())
    for one, two in zip(encoder.tables(), other.tables(), strict=True):
        assert torch.equal(one, two)
