"""The demo, made small: it runs, compares, draws, and what it says to type next works."""

import shlex

import pytest


@pytest.fixture
def small_demo(monkeypatch):
    """Less data and fewer epochs; everything else is the demo."""
    from multimargin.data import synthetic
    from multimargin.recipes.recipe import Recipe

    make, load = synthetic.make_synthetic, Recipe.load
    monkeypatch.setattr(synthetic, "make_synthetic", lambda **options: make(200, 60, mean_interactions=12, **options))
    monkeypatch.setattr(Recipe, "load", lambda source, overrides=(): load(source, [*overrides, "epochs=3"]))


@pytest.mark.usefixtures("small_demo")
def test_demo(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("demo")
    assert result.code == 0
    for line in ("most popular items", "Multi-Margin Loss", "the known optimum"):
        assert line in result.out
    assert "gets " in result.out
    assert (tmp_path / "demo" / "scores.svg").stat().st_size > 1000
    commands = [line.partition("#")[0] for line in result.out.splitlines() if line.startswith("  multimargin ")]
    assert len(commands) == 5
    for command in commands:
        assert cli(*shlex.split(command)[1:]).code == 0, command
    assert cli("demo").code == 0  # again, over itself
