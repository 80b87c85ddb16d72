"""Build a baseline in the place of training: one call, one row of metrics.jsonl, at most one evaluation."""

import json
import time
from pathlib import Path
from typing import Any

from multimargin.baselines import Baseline
from multimargin.data.interactions import Interactions
from multimargin.errors import DataError
from multimargin.evaluate import Evaluation, Evaluator
from multimargin.recipes.run import write_text
from multimargin.recommend import Scorer
from multimargin.rng import Streams
from multimargin.train.loop import Training


def build_baseline(
    baseline: Baseline,
    train: Interactions,
    *,
    seed: int,
    metric: str,
    evaluator: Evaluator | None = None,
    run: Path | None = None,
) -> tuple[Scorer, Training, Evaluation | None]:
    """Build a baseline and measure it.

    Args:
        baseline: what to build.
        train: interactions to learn from.
        seed: of its stream of randomness, "init".
        metric: which one is ``Training.best_value``.
        evaluator: measures it; None: nothing is measured.
        run: folder for metrics.jsonl; None: nothing is written.

    Returns:
        The scorer, an account of it as of one epoch without a loss, and what the evaluator found.

    Raises:
        DataError: ``train`` is empty.
    """
    if not len(train):
        raise DataError("training data must hold at least one interaction; got none. Check the split and filters.")
    started = time.perf_counter()
    scorer = baseline.build(train, rng=Streams(seed).generator("init"))
    row: dict[str, Any] = {"epoch": 1, "train_seconds": round(time.perf_counter() - started, 4)}
    evaluation = None
    if evaluator is not None:
        started = time.perf_counter()
        evaluation = evaluator.measure(scorer)
        row["eval_seconds"] = round(time.perf_counter() - started, 4)
        sample = {"users": len(evaluator.users)} if evaluator.is_sample else {}
        row |= {**evaluation.metrics, **sample, "protocol": evaluator.protocol}
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / "metrics.jsonl", json.dumps(row) + "\n")
    return scorer, Training([row], 1, row.get(metric), "finished"), evaluation


def n_numbers(scorer: Scorer) -> int:
    """Return how many numbers a scorer was given by its data, histories left out."""
    return sum(array.size for array in scorer.arrays().values() if array.dtype.kind == "f")
