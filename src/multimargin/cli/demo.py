"""``multimargin demo``: the whole way, offline, on data whose best lists are known."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multimargin.cli import output

if TYPE_CHECKING:
    from multimargin.data.synthetic import Synthetic
    from multimargin.evaluate import Evaluation
    from multimargin.recipes.fit import Fitted

_USERS_SHOWN = 3
_ITEMS_SHOWN = 5
_PAIRS_DRAWN = 200_000


def demo(
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to put data, run and plot.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Of the data and of the training.")] = 0,
) -> None:
    """Make data whose best lists are known, train on it, compare, recommend, draw; offline, under a minute."""
    import polars as pl

    from multimargin.data.synthetic import make_synthetic
    from multimargin.errors import CheckpointError
    from multimargin.recipes.fit import fit_recipe
    from multimargin.recipes.recipe import Recipe
    from multimargin.recipes.run import Run
    from multimargin.recommend import write_frames

    run, events = Run(to / "run"), to / "events.csv"
    if run.exists() and run.recipe().name != "demo":
        raise CheckpointError(f"--to must be a folder of an earlier demo, or a new one; {run.path} holds another run.")
    recipe = Recipe.load("demo", [f"seed={seed}"])
    synthetic = make_synthetic(rng=seed)
    log = synthetic.interactions
    output.note(
        f"1. {len(log):,} interactions of {log.n_users:,} users and {log.n_items:,} items, drawn from known tastes"
    )
    to.mkdir(parents=True, exist_ok=True)
    pairs = {"user_id": log.users.ids(log.user_index), "item_id": log.items.ids(log.indices)}
    write_frames(events, [pl.DataFrame(pairs)])
    if run.exists():
        shutil.rmtree(run.path)
    output.note("2. training with the Multi-Margin Loss (the first time, code is compiled: some 20 seconds)")
    fitted = fit_recipe(recipe, data=events, run=run.path, threads=1)  # so little data is not worth a second
    if fitted.training.stopped == "interrupted":
        raise output.Interruption("interrupted")
    output.note("3. ranking all items for every user, and comparing with held-out interactions")
    output.result(_comparison(fitted, synthetic))
    output.result("")
    output.result(_lists(fitted))
    output.result("")
    output.result(_plot(fitted, to / "scores.svg", [float(margin) for margin in recipe.values["loss"]["margins"]]))
    output.result(_next(fitted, events, run.path))


def _comparison(fitted: "Fitted", synthetic: "Synthetic") -> str:
    import numpy as np

    from multimargin.evaluate import Evaluator

    parts, log = fitted.parts, synthetic.interactions
    assert parts.test is not None
    assert fitted.evaluation is not None
    evaluator = Evaluator(parts.test, seen=parts.seen, k=(20,))
    train = parts.train
    # the true tastes are just another pair of tables, ranked by the same code
    best = evaluator(
        synthetic.user_factors[log.users.indices(train.users.series)],
        synthetic.item_factors[log.items.indices(train.items.series)],
        "dot",
    )
    counts = train.item_counts.astype(np.float32)[:, None]
    popular = evaluator(np.ones((train.n_users, 1), np.float32), counts, "dot")
    rows: list[tuple[str, Evaluation]] = [
        ("most popular items", popular),
        ("Multi-Margin Loss", fitted.evaluation),
        ("the known optimum", best),
    ]
    metrics = ("Recall@20", "NDCG@20")
    table = [(name, *(f"{each.metrics[metric]:.4f}" for metric in metrics)) for name, each in rows]
    return output.columns(table, headings=("", *metrics))


def _lists(fitted: "Fitted") -> str:
    train = fitted.parts.train
    some = train.users.ids(train.user_counts.argsort()[-_USERS_SHOWN:])
    frame = fitted.model.recommend(some, k=_ITEMS_SHOWN)
    lines = []
    for user in some:
        history = train.items.ids(train.items_of(int(train.users.indices([user])[0])))
        genres = history.str.split("-").list.first().value_counts(sort=True)[:, 0].head(2).to_list()
        items = frame.filter(frame["user_id"] == user)["item_id"].to_list()
        lines.append(f"{user}, mostly {' and '.join(genres)}, gets {', '.join(items)}")
    return "\n".join(lines)


def _plot(fitted: "Fitted", path: Path, margins: list[float]) -> str:
    import numpy as np

    from multimargin.recipes.plots import score_distributions
    from multimargin.rng import Streams

    parts, model = fitted.parts, fitted.model
    assert parts.test is not None
    user_table, item_table = (
        table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
        for table in (model.user_table, model.item_table)
    )
    generator = Streams(0).generator("plot")
    pairs = {
        "random negatives": (
            generator.integers(len(user_table), size=_PAIRS_DRAWN),
            generator.integers(len(item_table), size=_PAIRS_DRAWN),
        ),
        "positives, trained on": (parts.train.user_index, parts.train.indices),
        "positives, held out": (parts.test.user_index, parts.test.indices),
    }
    scores = {
        name: np.einsum("nd,nd->n", user_table[users], item_table[items]) for name, (users, items) in pairs.items()
    }
    try:
        score_distributions(path, scores, margins, title="Scores of positives and negatives against the margins")
    except ImportError:
        return "No plot of the scores is drawn without matplotlib. Get it with: pip install 'multimargin[plots]'"
    return f"Scores of positives and negatives against the margins: {path}"


def _next(fitted: "Fitted", events: Path, run: Path) -> str:
    train, command = fitted.parts.train, output.command()
    user = train.users.ids(train.user_counts.argsort()[-1:])[0]
    return "\n".join(
        (
            "",
            "What to type next:",
            f"  {command} recommend {run} --users {user} --k 5",
            f"  {command} recommend {run} -o {run.parent / 'lists.csv'}",
            f"  {command} evaluate {run} --k 10,20,50",
            f"  {command} data check {events}     # or a file of your own",
            f"  {command} fit mf-mml --data {events} --run {run.parent / 'own'}     # likewise",
        )
    )
