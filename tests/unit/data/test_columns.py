"""Names that people give to columns."""

import pytest

from multimargin.data.columns import ALIASES, choose_columns, normalise, role_of
from multimargin.data.problems import PlacedError


@pytest.mark.parametrize("name", ["user_id", "userId", "userID", "user", "USER-ID", "User Id", "uid", "reviewerID"])
def test_users(name):
    assert role_of(name) == "user"


@pytest.mark.parametrize("name", ["item_id", "movieId", "itemId", "parent_asin", "asin", "product_id", "isbn"])
def test_items(name):
    assert role_of(name) == "item"


def test_aliases_are_normal_and_of_one_role():
    every = [alias for names in ALIASES.values() for alias in names]
    assert len(every) == len(set(every))
    assert all(normalise(alias) == alias for alias in every)


def test_the_usual_name_that_comes_first_in_the_list_wins():
    assert choose_columns(["asin", "parent_asin", "user_id"], {}, "x") == {"user": 2, "item": 1}


def test_a_column_asked_for_one_role_is_not_taken_for_another():
    chosen = choose_columns(["user_id", "item_id", "score", "rating"], {"timestamp": "rating"}, "x")
    assert chosen == {"user": 0, "item": 1, "timestamp": 3, "weight": 2}


def test_a_problem_keeps_its_parts():
    import copy

    problem = copy.copy(PlacedError("a.csv, line 3", "must be so; is not", "Mend it."))
    assert (problem.where, problem.what, problem.way_out) == ("a.csv, line 3", "must be so; is not", "Mend it.")
    assert str(problem) == "a.csv, line 3: must be so; is not. Mend it."
