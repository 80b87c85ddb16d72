"""One recipe's search: what was tried, what is tried next, and when a trial is given up.

Everything is a function of the seed and of the trials before: each draw has a sampler of its own, seeded by its number,
and trials follow one another. So a search that was killed and goes on proposes what it would have proposed.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimargin import checks
from multimargin.errors import CheckpointError
from multimargin.experiments.runs import Job, Outcome
from multimargin.experiments.space import Space
from multimargin.ranges import Choice, Range
from multimargin.recipes.run import write_json
from multimargin.rng import Streams

if TYPE_CHECKING:
    import optuna

_RANDOM = 8  # trials at the start that learn from none before
_COMPLETE = 4  # trials that have to finish before one is given up
_TRUSTED = 4  # an epoch's metric counts from this part of the epochs on: 1 / 4

Record = dict[str, Any]


class Study:
    """The trials of one recipe, in a folder: ``trials/0007.json`` says what was tried and what came of it.

    Args:
        space: what is varied, of which recipe.
        folder: the study's; job names are relative to its parent.
        trials: how many there are to be.
    """

    def __init__(self, space: Space, folder: Path, trials: int):
        self.space, self.folder, self.n_trials = space, folder, trials
        self.metric = str(space.recipe.values["metric"])
        self.epochs = int(space.recipe.values["epochs"] or 1)
        self.records: list[Record] = []
        self._trial: optuna.Trial | None = None  # under way
        self._curve: list[list[Any]] = []  # of it: epoch, metric
        self._pruned = False

    @property
    def best(self) -> Record | None:
        """The record of the finished trial that reached most, the first of equals."""
        return max((each for each in self.records if each["state"] == "done"), key=_reached, default=None)

    @property
    def starts_untuned(self) -> bool:
        """Whether the first trial is the recipe as it is; not where a range asked for leaves out its own value."""
        return self.space.start().keys() == self.space.parts().keys()

    @property
    def is_done(self) -> bool:
        """Whether no trial is left to be done, or to be finished."""
        return len(self.records) >= self.n_trials and self.records[-1]["state"] != "running"

    def load(self) -> None:
        """Read the records; any beyond ``trials`` are left alone."""
        self.records = []
        while len(self.records) < self.n_trials and (file := self._file(len(self.records))).exists():
            try:
                self.records.append(json.loads(file.read_text(encoding="utf-8")))
            except ValueError:
                raise CheckpointError(
                    f"{file} must hold a JSON object; it is corrupt. Delete it and what is later in its folder."
                ) from None

    def next_job(self) -> Job | None:
        """Return the trial that was cut short, or the next one; None while one runs or where all are done."""
        if self._trial is not None or self.is_done:
            return None
        if not self.records or self.records[-1]["state"] != "running":
            number = len(self.records)
            drawn = dict(self._ask(number, None if number else self.space.start()).params)
            values = self.space.values(drawn) if number else self.space.first_values(drawn)
            self.records.append({"trial": number, "state": "running", "values": values, "drawn": drawn})
            self._file(number).parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file(number), self.records[-1])
        record = self.records[-1]
        self._trial, self._curve, self._pruned = self._ask(record["trial"], record["drawn"]), [], False
        name = f"{self.folder.name}/trials/{record['trial']:04d}"
        return Job(name, self.space.changed(record["values"]), test=False)

    def goes_on(self, row: Mapping[str, Any]) -> bool:
        """Take a row of the running trial's history; tell whether it is worth another epoch."""
        assert self._trial is not None
        seen = self._curve[-1][0] if self._curve else 0
        if self._pruned or row["epoch"] <= seen or row.get(self.metric) is None:
            return not self._pruned
        self._curve.append([row["epoch"], float(row[self.metric])])
        self._trial.report(self._curve[-1][1], row["epoch"])
        self._pruned = row["epoch"] < self.epochs and self._trial.should_prune()
        return not self._pruned

    def ended(self, outcome: Outcome) -> None:
        """Record how the running trial ended, and keep of its run what says so.

        Raises:
            CheckpointError: the first trial failed, the recipe as it is: others will fail alike.
        """
        assert self._trial is not None
        rows = outcome.run.history()
        for row in rows:  # those that were not handed on in time, or are of an earlier start
            self.goes_on(row)
        failed = outcome.ended == "failed" and not self._pruned
        if failed and len(self.records) == 1:
            raise CheckpointError(
                f"{outcome.job.name} must finish for the search to go on; it ended with: {outcome.problem}"
            )
        last = self._curve[-1][0] if self._curve else 0
        epoch, reached = max(self._curve, key=lambda pair: pair[1], default=(None, None))
        rows = [row for row in rows if not self._pruned or row["epoch"] <= last]
        self.records[-1] |= {
            "state": "failed" if failed else "pruned" if self._pruned else "done",
            "reached": None if failed else reached,
            "epoch": None if failed else epoch,
            "epochs": len(rows),
            "seconds": round(sum(row.get("train_seconds", 0) + row.get("eval_seconds", 0) for row in rows), 3),
            "curve": [] if failed else self._curve,  # to Optuna, one that failed was given up with nothing
            "problem": outcome.problem if failed else None,
        }
        write_json(self._file(len(self.records) - 1), self.records[-1])
        self._trial = None
        for spent in (outcome.run.model, outcome.run.checkpoint.parent, outcome.run.path / "plots"):
            shutil.rmtree(spent, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}.json"

    def _ask(self, number: int, drawn: Mapping[str, float] | None) -> "optuna.Trial":
        """Return trial ``number`` as Optuna proposes it, or with what was ``drawn``, given those that have ended."""
        package = require_optuna()
        distributions = {name: _distribution(part) for name, part in self.space.parts().items()}
        study = package.create_study(
            direction="maximize",
            pruner=package.pruners.MedianPruner(_COMPLETE, n_warmup_steps=max(1, self.epochs // _TRUSTED)),
            sampler=package.samplers.TPESampler(
                n_startup_trials=_RANDOM,
                seed=int(Streams(self.space.recipe.values["seed"]).generator("search", number).integers(2**31)),
            ),
        )
        for record in self.records[:number]:
            done = record["state"] == "done"
            study.add_trial(
                package.trial.create_trial(
                    params=record["drawn"],
                    distributions=distributions,
                    value=record["reached"] if done else None,
                    intermediate_values=dict(record["curve"]),
                    state=package.trial.TrialState.COMPLETE if done else package.trial.TrialState.PRUNED,
                )
            )
        if drawn is not None:
            study.enqueue_trial(dict(drawn))
        trial: optuna.Trial = study.ask(distributions)
        return trial


def require_optuna() -> Any:
    """Return the package.

    Raises:
        ArgumentError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        checks.fail("search", "have Optuna", None, "Get it with: pip install 'multimargin[search]'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _reached(record: Record) -> float:
    return float(record["reached"])


def _distribution(part: Range | Choice) -> Any:
    distributions = require_optuna().distributions
    if isinstance(part, Choice):
        return distributions.CategoricalDistribution(range(len(part.values)))
    kind = distributions.IntDistribution if part.whole else distributions.FloatDistribution
    return kind(part.low, part.high, log=part.log)
