"""What newcomers run first: the examples, README's Python, and README's commands, which CI runs too."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def readme_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def example(monkeypatch):
    def run(name):
        monkeypatch.setattr("sys.argv", [name])
        return runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")

    return run


def test_own_events_recommends_tea_to_a_tea_drinker(example, capsys):
    example("own_events.py")
    printed = capsys.readouterr().out
    listed = re.findall(r"customer-000 ┆ (\w+)-\d\d", printed)
    assert listed == ["tea"] * 5
    assert "3,000 rows written" in printed


def test_own_training_loop_learns(example, capsys):
    example("own_training_loop.py")
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", capsys.readouterr().out)]
    assert len(losses) == 5
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


def test_own_loss_and_sampler_learn_by_their_names_in_a_recipe(example, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    example("own_loss.py")
    found = {
        name.strip(): float(value) for name, value in re.findall(r"^(.+?) NDCG@10 (\S+)", capsys.readouterr().out, re.M)
    }
    assert set(found) == {"our loss", "our sampler", "no training"}
    assert found["our loss"] > 2 * found["no training"]
    assert found["our sampler"] > 2 * found["no training"]


def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    import polars as pl

    from multimargin.data.synthetic import make_synthetic

    log = make_synthetic(rng=0).interactions  # the demo's own
    (tmp_path / "demo").mkdir()
    frame = pl.DataFrame({"user_id": log.users.ids(log.user_index), "item_id": log.items.ids(log.indices)})
    frame.write_csv(tmp_path / "demo" / "events.csv")
    monkeypatch.chdir(tmp_path)
    (program,) = readme_blocks("python")
    assert len(program.splitlines()) <= 12
    assert "epochs=20" in program
    program = program.replace("epochs=20", "epochs=2")
    exec(compile(program, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "NDCG" in printed
    assert "user-0042" in printed
    assert "│ jazz-0224 ┆" in printed


def test_readme_opens_with_the_two_commands_that_ci_runs():
    demo, tests = (block.strip().split(" && ") for block in readme_blocks("bash")[:2])
    assert demo[:2] == tests[:2]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert demo[1].removeprefix(".venv/bin/pip install ") in ci
    assert '"$bin/multimargin" demo' in ci
    assert demo[2:] == [".venv/bin/multimargin demo"]
    assert '"$bin/python" -m pytest' in ci
    assert tests[2:] == [".venv/bin/pytest -n 2"]


def test_readme_names_recipes_that_exist():
    from multimargin.recipes.recipe import recipe_names

    named = {name for block in readme_blocks("bash") for name in re.findall(r"multimargin fit (\S+)", block)}
    assert named
    assert named <= set(recipe_names())
