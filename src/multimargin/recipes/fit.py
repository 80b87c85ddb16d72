"""Data and objects go in, a trained recommender comes out: ``fit`` from Python, ``fit_recipe`` into a run folder."""

import datetime
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin import checks
from multimargin.baselines import Baseline
from multimargin.data import Interactions, Vocabulary, catalogue, read_parts
from multimargin.data.folders import find_parts
from multimargin.data.splits import GivenParts, Split, SplitStrategy
from multimargin.encoders import MF, Encoder
from multimargin.errors import CheckpointError, DataError, RecipeError
from multimargin.evaluate import Evaluation, Evaluator
from multimargin.evaluate import evaluate as evaluate_model
from multimargin.kernels.threads import get_threads, set_threads
from multimargin.losses import MultiMarginLoss
from multimargin.losses.base import Loss
from multimargin.negatives import UniformNegatives
from multimargin.negatives.base import NegativeSampler
from multimargin.recipes.recipe import Recipe, canonical_metric
from multimargin.recipes.run import Run, environment, peak_memory_mib, write_json
from multimargin.recipes.start import Start
from multimargin.recipes.untrained import build_baseline, n_numbers
from multimargin.recommend import Recommender, choose_popularity, normalised, with_popularity
from multimargin.recommend.fold_in_scorer import FoldInScorer
from multimargin.recommend.popularity import Tables
from multimargin.rng import Streams
from multimargin.train.loop import Trainer, Training
from multimargin.train.needs import evaluating
from multimargin.train.stopping import EarlyStopping, ReduceOnPlateau

_LOG = logging.getLogger("multimargin")


@dataclass(frozen=True)
class Parts:
    """The data of a run, split by its recipe.

    Args:
        train: what is learnt from.
        select: what epochs and learning rates are chosen on: validation data, in the paper protocol the test data;
            None: there is none.
        test: what the final numbers are computed on, None: there is none.
        known: everything known of each user at serving time, which lists must not repeat.
        seen: what is excluded from the lists that are compared with ``test``.
        data_hash: SHA-256 of what was read.
        split_hash: SHA-256 of the parts it was split into.
    """

    train: Interactions
    select: Interactions | None
    test: Interactions | None
    known: Interactions
    seen: Interactions
    data_hash: str
    split_hash: str


@dataclass(frozen=True)
class Fitted:
    """What ``fit_recipe`` leaves.

    Args:
        run: the run folder.
        parts: the data as it was split.
        training: history, best epoch, how it ended.
        model: the recommender of the best epoch.
        evaluation: the final numbers; None if training was interrupted or there is no test data.
    """

    run: Run
    parts: Parts
    training: Training
    model: Recommender
    evaluation: Evaluation | None


def fit(
    train: Interactions,
    *,
    valid: Interactions | None = None,
    encoder: Encoder | Baseline | None = None,
    loss: Loss | None = None,
    negatives: NegativeSampler | None = None,
    n_negatives: int | None = 100,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    batch_size: int = 256,
    epochs: int = 100,
    clip_norm: float | None = 10.0,
    dropout: float = 0.1,
    popularity: float | Literal["auto"] = 0.0,
    metric: str = "NDCG@20",
    k: Sequence[int] = (20, 50),
    evaluate_users: int | None = None,
    evaluate_every: int = 1,
    stopping: EarlyStopping | None = None,
    schedule: ReduceOnPlateau | None = None,
    decay: str | None = None,
    engine: str = "auto",
    device: str = "auto",
    seed: int = 0,
    start: Recommender | str | Path | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Recommender:
    """Train a recommender and return it.

    Args:
        train: interactions to learn from.
        valid: interactions to choose the best epoch on, sharing ``train``'s vocabularies; None: the last epoch is kept.
        encoder: how users and items become vectors; None: ``MF(64)``. Or a baseline, which is not trained: loss,
            negatives, stopping, schedule and decay must be None, and what else is said of training has no part.
        loss: what is minimised; None: ``MultiMarginLoss()``.
        negatives: where negatives come from; None: ``UniformNegatives()``.
        n_negatives: N, negatives per positive, 1 or more; None only where none are drawn (``AllNegatives``).
        learning_rate: of Adam, above 0.
        weight_decay: times the row, added to the gradient of rows that have one, 0 or more.
        batch_size: B, positives per step, 1 or more.
        epochs: passes over ``train``, 1 or more.
        clip_norm: largest global norm of the gradient; None: not clipped.
        dropout: of the user vector after normalising, in [0, 1).
        popularity: exponent of the items' popularity in the scores of a cosine model, 0 or more; "auto": the one at
            which ``metric`` is highest on ``valid``, chosen after training; see ``recommend.with_popularity``.
        metric: what the best epoch is chosen by, for instance "NDCG@20"; its cut-off is one of ``k``.
        k: cut-offs evaluated on ``valid``.
        evaluate_users: how many users of ``valid`` are evaluated, drawn once by ``seed``, 1 or more; None: all.
        evaluate_every: epochs between evaluations.
        stopping: when to stop early; None: never.
        schedule: when to lower the learning rate; None: never.
        decay: "cosine" or "linear": how it falls from epoch to epoch besides; None: it does not.
        engine: how an epoch is computed; "auto" takes the fastest that can.
        device: "auto", "cpu" or "cuda".
        seed: of every stream of randomness.
        start: a model to go on from: a recommender, or a run or model folder (a model alone, for ``MF``; a run folder,
            for any encoder). Its users and items stay, with what they have seen; new ones begin from their
            interactions. Only ``train`` is learnt from: give old interactions too where they should not be forgotten.
        run: folder for metrics.jsonl and a checkpoint every half minute; None: nothing is written.
        resume: go on from the checkpoint in ``run``, given the same data and arguments as at the start.
        progress: draw a progress bar on stderr.

    Returns:
        The recommender of the best epoch. Its lists leave out the items of ``train`` and ``valid``.

    Raises:
        ArgumentError: an argument breaks its rule.
        CheckpointError: ``resume`` without a usable checkpoint in ``run``; or a run is there and ``resume`` is false.
        DeviceError: the device asked for is not there.
        DivergedError: the loss, or the metric to choose by, is not finite after an epoch.
    """
    if resume and run is None:
        checks.fail("run", "be a folder to resume from", run)
    metric = canonical_metric(metric, k)
    from_model = None if start is None else Start.of(start)
    if from_model is not None:
        vocabularies = from_model.vocabularies(train)
        train, valid = train.within(*vocabularies), None if valid is None else valid.within(*vocabularies)
    evaluator = None if valid is None else Evaluator(valid, seen=train, k=tuple(k), n_users=evaluate_users, rng=seed)
    history = seen = train if valid is None else train.union([valid])
    if from_model is not None:
        seen = seen.union([from_model.seen.within(*vocabularies)])
    if isinstance(encoder, Baseline):
        of_training = {
            "loss": loss, "negatives": negatives, "stopping": stopping, "schedule": schedule, "decay": decay,
            "popularity": popularity or None, "resume": resume or None, "start": start,
        }  # fmt: skip
        for name, value in of_training.items():
            if value is not None:
                checks.fail(name, f"be left out: {type(encoder).__name__} is not trained", value)
        folder = None if run is None else Path(run)
        scorer, _, _ = build_baseline(encoder, train, seed=seed, metric=metric, evaluator=evaluator, run=folder)
        return Recommender.of(scorer, seen=seen, info={"seed": seed})
    trainer = Trainer(
        n_negatives=n_negatives,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        batch_size=batch_size,
        epochs=epochs,
        clip_norm=clip_norm,
        dropout=dropout,
        metric=metric,
        evaluate_every=evaluate_every,
        stopping=stopping,
        schedule=schedule,
        decay=decay,
        engine=engine,
        device=device,
        seed=seed,
    )
    encoder = MF(64) if encoder is None else encoder
    serving = _Serving(encoder, train, popularity, evaluator)
    training = trainer.fit(
        train,
        encoder=encoder,
        loss=MultiMarginLoss() if loss is None else loss,
        negatives=UniformNegatives() if negatives is None else negatives,
        begin=None if from_model is None else partial(from_model.give, train=train),
        evaluate=None if evaluator is None else serving.evaluate,
        run=None if run is None else Path(run),
        resume=resume,
        progress=progress,
    )
    return serving.recommender(seen, trainer.metric, {"best_epoch": training.best_epoch, "seed": seed}, history)


def fit_recipe(
    recipe: Recipe,
    *,
    data: str | Path | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    start: str | Path | None = None,
    threads: int | None = None,
    test: bool = True,
    progress: bool = True,
) -> Fitted:
    """Run a recipe into a run folder.

    Args:
        recipe: what to run.
        data: catalogue name or path; None: what the recipe says.
        run: the run folder, new or empty unless ``resume``; None: runs/<recipe's name>.
        resume: continue the run that is in the folder; with more epochs than it had, where the learning rate does not
            depend on their number, beyond its end. ``info.json`` then says after which epochs test data had been seen.
        start: folder of a run or model to go on from, see ``fit``; repeat it with ``resume``.
        threads: threads to use; None: all usable cores. Results do not depend on it.
        test: measure the final numbers on the test data; false: it is not looked at.
        progress: draw a progress bar on stderr.

    Raises:
        RecipeError, ArgumentError: the recipe cannot be built.
        DataError: the data cannot be read or split as the recipe asks.
        CheckpointError: the folder holds another run, or is in use.
        DeviceError: the device asked for is not there.
    """
    started = time.perf_counter()
    if threads is not None:
        set_threads(threads)
    objects = recipe.build()
    recipe = with_data(recipe, data)
    parts = split_data(recipe, objects.split, read_data(recipe))
    parts = parts if test else replace(parts, test=None)
    from_model = None if start is None else Start.of(start)
    if from_model is not None:
        parts = _going_on(parts, from_model)
    folder = Run(Path(run) if run is not None else Path("runs") / recipe.name)
    with folder.open(recipe, parts.data_hash, resume=resume):
        info = {
            "recipe": recipe.name,
            "protocol": recipe.values["protocol"],
            "seed": recipe.values["seed"],
            "data": recipe.values["data"],
            "start": None if start is None else str(start),
            "data_hash": parts.data_hash,
            "split_hash": parts.split_hash,
            "users": parts.train.n_users,
            "items": parts.train.n_items,
            "interactions": len(parts.train),
            "threads": get_threads(),
            "device": "cpu" if objects.trainer is None else objects.trainer.device,
            **environment(),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "ended": "running",
        }
        if not (resume and folder.checkpoint.exists()):  # what cannot go on stays as it was
            folder.write_info(info)
        about, evaluation = {"recipe": recipe.name, "protocol": info["protocol"]}, None
        if isinstance(objects.encoder, Baseline):
            if from_model is not None:
                checks.fail("start", f"be left out: {type(objects.encoder).__name__} is not trained", str(start))
            scorer, training, selected = build_baseline(
                objects.encoder, parts.train, seed=recipe.values["seed"], metric=recipe.values["metric"],
                evaluator=_evaluator(recipe, parts), run=folder.path,
            )  # fmt: skip
            model = Recommender.of(scorer, seen=parts.known, info=about)
            n_parameters = n_numbers(scorer)
            evaluation = selected if parts.select is parts.test else None  # the same lists, the same seen items
        else:
            encoder, loss, negatives, trainer = objects.of_training()
            serving = _Serving(encoder, parts.train, recipe.values["popularity"], _evaluator(recipe, parts))
            training = trainer.fit(
                parts.train,
                encoder=encoder,
                loss=loss,
                negatives=negatives,
                begin=None if from_model is None else partial(from_model.give, train=parts.train),
                evaluate=None if serving.evaluator is None else serving.evaluate,
                run=folder.path,
                resume=resume and folder.checkpoint.exists(),
                progress=progress,
            )
            if not training.history:
                raise KeyboardInterrupt(f"interrupted before the first epoch ended; nothing is left in {folder.path}")
            model = serving.recommender(parts.known, recipe.values["metric"], about, parts.seen)
            n_parameters = _n_parameters(encoder) + _n_parameters(loss)
            info["loss"] = repr(loss)  # with what it set from the data
            _draw(folder, recipe)
        info["ended"] = training.stopped
        if resume and "extended_at" in (before := folder.info()):
            info["extended_at"] = before["extended_at"]
        model.save(folder.model)
        # an interrupted honest run will go on: test data is read once, at the end
        if parts.test is not None and training.stopped != "interrupted":
            evaluation = evaluation or evaluate_parts(model, parts, recipe)
            folder.write_per_user(model.users.ids(evaluation.users), evaluation.per_user)
            write_json(
                folder.path / "evaluation.json",
                {**evaluation.to_dict(), "recipe": recipe.name, "best_epoch": training.best_epoch},
            )
        info |= {
            "popularity": model.info.get("popularity", 0.0),
            "parameters": n_parameters,
            "epochs": len(training.history),
            "best_epoch": training.best_epoch,
            "training_seconds": round(sum(float(row.get("train_seconds", 0)) for row in training.history), 3),
            "wall_seconds": round(time.perf_counter() - started, 3),  # of this process
            "peak_memory_mib": peak_memory_mib(),
        }
        folder.write_info(info)
    return Fitted(folder, parts, training, model, evaluation)


def with_data(recipe: Recipe, data: str | Path | None) -> Recipe:
    """Return the recipe with its data as an absolute path, or as the catalogue name it is.

    Raises:
        RecipeError: neither ``data`` nor the recipe names any.
    """
    chosen = data if data is not None else recipe.values["data"]
    if chosen is None:
        raise RecipeError(f"data must be given: recipe {recipe.name!r} names none. Add --data PATH.")
    if str(chosen) not in catalogue.CATALOGUE or Path(chosen).exists():
        chosen = Path(chosen).absolute()
    return Recipe(recipe.name, {**recipe.values, "data": str(chosen)})


def read_data(recipe: Recipe) -> Interactions | Split:
    """Read a recipe's data: parts for split "given", else one log.

    Raises:
        DataError: it cannot be read.
    """
    where, options = recipe.values["data"], recipe.values["read"]
    path = catalogue.locate(where) if where in catalogue.CATALOGUE else Path(where)
    name = recipe.values["split"]["name"]
    if name == "given":
        return read_parts(path, **options)
    if path.exists() and find_parts(path):
        _LOG.warning(
            "%s holds parts: they are joined and split anew by %s; split=given takes them as they are", path, name
        )
    return Interactions.read(path, **options)


def hash_of(found: Interactions | Split) -> str:
    """Return the SHA-256 that stands for what was read."""
    return found.hash if isinstance(found, Split) else found.fingerprint


def split_data(recipe: Recipe, strategy: SplitStrategy, found: Interactions | Split) -> Parts:
    """Split a recipe's data by its split and protocol.

    Raises:
        DataError: the data cannot be split as the recipe asks.
        RecipeError: the recipe selects on validation or test data and its split sets none aside.
    """
    values = recipe.values
    rng = Streams(recipe.data_seed).generator("split")
    given = isinstance(found, Split)
    if isinstance(found, Interactions):
        split = strategy.split(found, rng=rng)
    elif found.test is None:
        raise DataError(
            f"{values['data']} must hold a test part for split 'given'; it has none. Add split=random-per-user."
        )
    elif isinstance(strategy, GivenParts) and values["protocol"] == "honest":
        split = strategy.complete(found, rng=rng)
    else:
        split = found
    train = split.train
    valid = split.valid if split.valid is not None and len(split.valid) else None
    test = split.test if split.test is not None and len(split.test) else None
    if not len(train):
        raise DataError(f"{values['data']} must hold interactions to train on; the split leaves none.")
    seen = train if valid is None else train.union([valid])
    # the future of a given split is unknown when its lists are made; of one log everything is known
    known = seen if given or test is None else seen.union([test])
    if values["protocol"] == "paper":
        if test is None:
            raise RecipeError(
                "protocol=paper must have test data to select on; the split sets none aside. Set split.test."
            )
        return Parts(seen, test, test, known, seen, hash_of(found), split.hash)
    if valid is None and (values["stopping"] is not None or values["schedule"] is not None):
        raise RecipeError(
            "protocol=honest must have validation data for stopping and schedule; the split sets none aside. "
            "Set split.valid=0.1, or stopping=null schedule=null."
        )
    return Parts(train, valid, test, known, seen, hash_of(found), split.hash)


def _going_on(parts: Parts, start: Start) -> Parts:
    """Return the parts in the model's vocabularies with theirs behind; what its users have seen is known."""
    vocabularies = start.vocabularies(parts.train)
    return replace(
        parts,
        train=parts.train.within(*vocabularies),
        select=None if parts.select is None else parts.select.within(*vocabularies),
        test=None if parts.test is None else parts.test.within(*vocabularies),
        known=parts.known.within(*vocabularies).union([start.seen.within(*vocabularies)]),
        seen=parts.seen.within(*vocabularies),
    )


def evaluate_parts(model: Recommender, parts: Parts, recipe: Recipe, k: Sequence[int] | None = None) -> Evaluation:
    """Compare a recipe's recommender with its test data.

    Raises:
        CheckpointError: the split sets no test data aside.
    """
    if parts.test is None:
        raise CheckpointError(
            "the run must have set test data aside to be evaluated; its split has none. Give --data PATH."
        )
    return evaluate_model(
        model,
        parts.test,
        k=tuple(k or recipe.values["k"]),
        seen=parts.seen,
        protocol=recipe.values["protocol"],
        n_users=recipe.values["evaluate_users"],
        rng=recipe.data_seed,
    )


class _Serving:
    """How an encoder's tables become scores, the same where they are evaluated and where they are served.

    Args:
        encoder: in training, or trained.
        train: what popularity is counted on.
        popularity: exponent, or "auto"; see ``recommend.with_popularity``.
        evaluator: of the data that may be selected on, if any.
    """

    def __init__(
        self, encoder: Encoder, train: Interactions, popularity: float | Literal["auto"], evaluator: Evaluator | None
    ):
        if popularity == "auto" and evaluator is None:
            checks.fail("popularity", "be a number where there is no validation data to choose it on", popularity)
        self.encoder, self.train, self.evaluator = encoder, train, evaluator
        self.chosen = popularity == "auto"
        self.popularity = 0.0 if popularity == "auto" else checks.not_negative("popularity", popularity)
        self.similarity = encoder.ranks_by or encoder.similarity
        if (self.chosen or self.popularity) and self.similarity != "cosine":
            checks.fail("popularity", "be 0 where scores are dot products, whose lengths say it", popularity)

    def tables(self, popularity: float, history: Interactions | None = None) -> Tables:
        """Return user and item vectors, after ``history`` if given, and the similarity of the model as it is."""
        with torch.no_grad(), evaluating(self.encoder):
            tables = self.encoder.tables()
            if history is not None:
                tables = self.encoder.user_table_after(history), tables[1]
        user_table, item_table = (table.detach().cpu().numpy() for table in tables)
        return with_popularity((user_table, item_table, self.similarity), self.train.item_counts, popularity)

    def evaluate(self, _: Encoder) -> Mapping[str, Any]:
        """Return the metrics, and what else goes into a row of metrics.jsonl."""
        assert self.evaluator is not None  # else this is not called
        metrics = self.evaluator(*self.tables(self.popularity)).metrics
        sample = {"users": len(self.evaluator.users)} if self.evaluator.is_sample else {}
        return {**metrics, **sample, "protocol": self.evaluator.protocol}

    def recommender(
        self, seen: Interactions, metric: str, info: Mapping[str, Any], history: Interactions
    ) -> Recommender:
        """Return the recommender of the trained encoder, popularity chosen by ``metric`` where it is to be.

        Users are known by ``history``, and their lists leave out ``seen``.
        """
        evaluator, popularity = self.evaluator, self.popularity
        if self.chosen and evaluator is not None:
            tables, counts = self.tables(0.0), self.train.item_counts
            popularity, _ = choose_popularity(
                lambda each: evaluator(*with_popularity(tables, counts, each)).metrics[metric]
            )
        user_table, item_table, similarity = self.tables(popularity, history)
        unit = similarity != self.similarity  # popularity made unit vectors of them
        with torch.no_grad():
            new = self.encoder.new_users(), self.encoder.new_items()
        users, user_table = _with_newcomers(seen.users, user_table, new[0], unit=unit)
        items, item_table = _with_newcomers(seen.items, item_table, new[1], unit=unit)
        seen = seen.extended(users, items)
        told = {**info, "popularity": popularity}
        by = self.encoder.fold_in()
        if by is not None:
            scorer = FoldInScorer(user_table, item_table, similarity, by=by, unit=unit)
            return Recommender.of(scorer, seen=seen, info=told)
        return Recommender(user_table, item_table, similarity=similarity, seen=seen, info=told)


def _with_newcomers(
    vocabulary: Vocabulary, table: NDArray[np.float32], new: tuple[pl.Series, Tensor] | None, *, unit: bool
) -> tuple[Vocabulary, NDArray[np.float32]]:
    """Return ids and vectors, those that only the encoder knows behind; ``unit``: of length 1 where it has cosines."""
    if new is None:
        return vocabulary, table
    vectors: NDArray[np.float32] = new[1].detach().cpu().numpy()
    return vocabulary.extended(new[0]), np.concatenate((table, normalised(vectors) if unit else vectors))


def _evaluator(recipe: Recipe, parts: Parts) -> Evaluator | None:
    """Return what measures a recipe's model on what it is selected by, None where there is nothing."""
    if parts.select is None:
        return None
    values = recipe.values
    return Evaluator(
        parts.select,
        seen=parts.train,
        k=tuple(values["k"]),
        protocol=values["protocol"],
        n_users=values["evaluate_users"],
        rng=recipe.data_seed,
    )


def _n_parameters(module: Encoder | Loss) -> int:
    return sum(each.numel() for each in module.parameters() if each.requires_grad)


def _draw(folder: Run, recipe: Recipe) -> None:
    from multimargin.recipes.plots import learning_curve

    try:
        learning_curve(folder, recipe)
    except ImportError:
        _LOG.info("no learning curve is drawn without matplotlib; get it with: pip install 'multimargin[plots]'")
