"""The only training loop: epochs, evaluation, the best weights, stopping, interruption, resumption."""

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder
from multimargin.errors import CheckpointError, DataError, DeviceError, DivergedError
from multimargin.losses.base import Loss
from multimargin.losses.facts import Statistics
from multimargin.negatives.base import NegativeSampler
from multimargin.optim import LazyAdam
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng, Streams
from multimargin.train import checkpoint, needs
from multimargin.train.batches import Batches
from multimargin.train.engines import ENGINES, choose_engine
from multimargin.train.progress import Progress
from multimargin.train.setting import Engine, Setting
from multimargin.train.stopping import DECAYS, EarlyStopping, ReduceOnPlateau

Evaluate = Callable[[Encoder], Mapping[str, float]]
_STRETCHES = 20  # an epoch runs in so many calls, so that progress shows and Ctrl-C is heard
_CHECKPOINT_SECONDS = 30.0  # an interruption costs at most this much work, plus an epoch


@dataclass
class _State:
    """What a run remembers between epochs; goes into the checkpoint as JSON."""

    data: str = ""  # fingerprint of the training data
    epoch: int = 0
    learning_rate: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None
    waited: int = 0
    stopped_early: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Training:
    """How a training went.

    Args:
        history: one dict per epoch: ``epoch``, ``loss``, ``learning_rate``, ``train_seconds`` and, where it was
            evaluated, ``eval_seconds`` and the metrics.
        best_epoch: whose weights the encoder has now; counted from 1; 0 if no epoch was finished. Interrupted where
            nothing is evaluated, it is the last finished one, and the encoder is some steps further.
        best_value: the chosen metric there; None if nothing was evaluated.
        stopped: "finished" all epochs, "early" by the stopping rule, or "interrupted" from outside.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    best_value: float | None
    stopped: Literal["finished", "early", "interrupted"]


class Trainer:
    """Trains any encoder with any loss and negative sampler.

    Args:
        n_negatives: N, negatives per positive, 1 or more; None only where none are drawn (``AllNegatives``).
        learning_rate: of Adam, above 0.
        weight_decay: times the row, added to the gradient of rows that have one, 0 or more.
        batch_size: B, positives per step, 1 or more; about so many where batches hold whole users (``AllNegatives``).
        epochs: passes over the interactions, 1 or more.
        clip_norm: bound on the gradient's global norm, above 0; None: not clipped.
        dropout: probability with which an entry of the user vector is zeroed after normalising, in [0, 1).
        metric: what the best epoch is chosen by; more is better.
        evaluate_every: epochs between evaluations, 1 or more; the last epoch is always evaluated.
        stopping: when to stop early; None: never.
        schedule: when to lower the learning rate; None: never.
        decay: "cosine" or "linear": the rate also falls from epoch to epoch, in that shape, from ``learning_rate`` to
            about 0 in the last of ``epochs``. Few epochs then reach what takes many at a constant rate. None: it does
            not.
        engine: "auto", "fused" (tables, margin losses, uniform negatives, CPU), "grouped" (the same with all
            negatives), "shared" (tables, sums over pairs, a uniform pool per batch, CPU), "scored" (tables, any loss on
            scores, any sampler, CPU) or "steps" (anything).
        device: "auto" (the CPU, for which the kernels are compiled), "cpu" or "cuda".
        seed: of every stream of randomness, 0 or more.

    Raises:
        ArgumentError: an argument breaks its rule.
        DeviceError: the device asked for is not there.
    """

    ranges = searched(learning_rate=Range(5e-5, 2e-2, log=True), weight_decay=Range(1e-10, 1e-3, log=True))

    def __init__(
        self,
        *,
        n_negatives: int | None = 100,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        batch_size: int = 256,
        epochs: int = 100,
        clip_norm: float | None = 10.0,
        dropout: float = 0.1,
        metric: str = "NDCG@20",
        evaluate_every: int = 1,
        stopping: EarlyStopping | None = None,
        schedule: ReduceOnPlateau | None = None,
        decay: str | None = None,
        engine: str = "auto",
        device: str = "auto",
        seed: int = 0,
    ):
        self.n_negatives = None if n_negatives is None else checks.positive_int("n_negatives", n_negatives)
        self.learning_rate = checks.positive("learning_rate", learning_rate)
        self.weight_decay = checks.not_negative("weight_decay", weight_decay)
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.epochs = checks.positive_int("epochs", epochs)
        self.clip_norm = None if clip_norm is None else checks.positive("clip_norm", clip_norm)
        self.dropout = checks.fraction("dropout", dropout)
        self.metric = metric
        self.evaluate_every = checks.positive_int("evaluate_every", evaluate_every)
        self.stopping = stopping
        self.schedule = schedule
        self.decay = None if decay is None else checks.choice("decay", decay, tuple(DECAYS))
        self.engine = checks.choice("engine", engine, ENGINES)
        self.device = find_device(device)
        self.seed = checks.at_least("seed", seed, 0)

    def fit(
        self,
        train: Interactions,
        *,
        encoder: Encoder,
        loss: Loss,
        negatives: NegativeSampler,
        begin: Callable[[Encoder], None] | None = None,
        evaluate: Evaluate | None = None,
        run: Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Training:
        """Train ``encoder`` in place; afterwards it has the best epoch's weights (the last, if nothing is evaluated).

        Args:
            train: interactions to learn from, at least one.
            encoder: built here for ``train``.
            loss: what is minimised.
            negatives: built here for ``train``.
            begin: called with the encoder once it is built, to change what it begins with.
            evaluate: called with the encoder after an epoch, returns metrics by name, ``self.metric`` among them.
            run: folder for ``metrics.jsonl`` and ``checkpoints/last.safetensors``; None: nothing is written.
            resume: go on from the checkpoint in ``run``, to the same numbers as if never interrupted.
            progress: show a progress bar on stderr.

        Raises:
            DataError: ``train`` is empty.
            ArgumentError: a stopping rule or schedule, and nothing is evaluated; or ``n_negatives`` is None, and some
                are drawn; or the loss needs what the sampler cannot give.
            CheckpointError: ``resume``, and there is no usable checkpoint for these objects; or not, and there is one.
            DivergedError: the loss, or the metric to choose by, is not finite after an epoch.
        """
        if not len(train):
            raise DataError("training data must hold at least one interaction; got none. Check the split and filters.")
        if evaluate is None and (self.stopping is not None or self.schedule is not None):
            name = "schedule" if self.stopping is None else "stopping"
            checks.fail(name, "have a metric to watch", getattr(self, name), "Give validation data, or leave it out.")
        needs.require_compatible(loss, negatives)
        if negatives.draws and loss.uses_negatives:
            checks.positive_int("n_negatives", self.n_negatives)  # type: ignore[arg-type]
        streams = Streams(self.seed)
        encoder.build(train, rng=streams.generator("init"))
        if begin is not None:
            begin(encoder)
        encoder.to(self.device)
        statistics = Statistics(train.n_users, train.n_items, train.user_index, train.indices)
        loss.prepare(statistics, rng=streams.generator("loss"))
        loss.to(self.device)
        negatives.build(train)
        parameters = [p for module in (encoder, loss) for p in module.parameters() if p.requires_grad]
        optimizer = LazyAdam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        session = _Session(self, train, encoder, loss, negatives, optimizer, evaluate, run)
        session.start(resume=resume)
        setting = Setting(
            train=train,
            encoder=encoder,
            loss=loss,
            negatives=negatives,
            optimizer=optimizer,
            n_negatives=self.n_negatives or train.n_items,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            dropout=self.dropout,
            negatives_key=streams.key("negatives"),
            dropout_key=streams.key("dropout"),
            positives_key=streams.key("positives"),
            encoder_key=streams.key("encoder"),
        )
        engine = choose_engine(self.engine, setting)
        return session.run(engine, setting.batches, streams, progress=progress)


class _Session:
    """One training under way."""

    def __init__(
        self,
        trainer: Trainer,
        train: Interactions,
        encoder: Encoder,
        loss: Loss,
        negatives: NegativeSampler,
        optimizer: LazyAdam,
        evaluate: Evaluate | None,
        run: Path | None,
    ):
        self.trainer, self.train, self.encoder, self.optimizer = trainer, train, encoder, optimizer
        self.loss, self.negatives = loss, negatives
        self.evaluate, self.folder = evaluate, run
        self.state = _State(train.fingerprint, learning_rate=trainer.learning_rate)
        self.best: dict[str, Tensor] | None = None
        self._saved = float("-inf")  # the first epoch is saved whatever it took

    def start(self, *, resume: bool) -> None:
        """Begin, or take back the last checkpoint."""
        last = None if self.folder is None else self.folder / "checkpoints" / "last.safetensors"
        if last is not None and last.exists() and not resume:
            raise CheckpointError(f"{self.folder}: a run is here already. Continue it with resume, or choose another.")
        if last is not None and resume:
            tensors, state = checkpoint.load(last)
            if state.get("data") != self.train.fingerprint:
                raise CheckpointError(
                    f"{self.folder}: the checkpoint belongs to other training data. "
                    "Resume with the data and split it was started with."
                )
            names = "encoder", "loss", "negatives", "optimizer", "best"
            groups: dict[str, dict[str, Tensor]] = {name: {} for name in names}
            try:
                for name, tensor in tensors.items():
                    group, _, rest = name.partition(".")
                    groups[group][rest] = tensor
                self.encoder.load_state_dict(groups["encoder"])
                self.loss.load_state_dict(groups["loss"])
                self.negatives.load_state({name: tensor.numpy() for name, tensor in groups["negatives"].items()})
                self.optimizer.load_tensors(groups["optimizer"])
                self.state = _State(**state)
            except (RuntimeError, KeyError, TypeError) as error:
                raise CheckpointError(
                    f"{self.folder}: the checkpoint belongs to another encoder, loss or sampler "
                    f"({' '.join(str(error).split())}). "
                    "Resume with the recipe it was started with."
                ) from error
            self.best = groups["best"] or None
            self.optimizer.options["lr"] = self.state.learning_rate
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            lines = "".join(json.dumps(row) + "\n" for row in self.state.history)
            temporary = self.folder / ".metrics.jsonl.tmp"
            temporary.write_text(lines)
            temporary.replace(self.folder / "metrics.jsonl")

    def run(self, engine: Engine, batches: Batches, streams: Streams, *, progress: bool) -> Training:
        """Run the epochs that are left."""
        t, state = self.trainer, self.state
        shown = Progress(epochs=t.epochs, done=state.epoch, per_epoch=len(self.train), metric=t.metric, shown=progress)
        stopped: Literal["finished", "early", "interrupted"] = "finished"
        try:
            with shown:
                while state.epoch < t.epochs and not state.stopped_early:
                    row = self._epoch(engine, batches, streams, shown)
                    shown.epoch(row, state.best_value)
                    last = state.epoch == t.epochs or state.stopped_early
                    if last or time.perf_counter() - self._saved > _CHECKPOINT_SECONDS:
                        self._save()
        except KeyboardInterrupt:
            stopped = "interrupted"
        if state.stopped_early:
            stopped = "early"
        self.optimizer.settle()
        if self.best is not None:
            self.encoder.load_state_dict(self.best)
        best_epoch = state.best_epoch if self.best is not None else state.epoch
        return Training(copy.deepcopy(state.history), best_epoch, state.best_value, stopped)

    def _epoch(self, engine: Engine, batches: Batches, streams: Streams, shown: Progress) -> dict[str, Any]:
        """Train one epoch, evaluate it, and let the rules decide; the state changes only once all of it is done."""
        t, n = self.trainer, len(self.train)
        # 1. train
        started = time.perf_counter()
        self._start_epoch(streams)
        over = (self.state.epoch + 0.5) / t.epochs
        factor = 1.0 if t.decay is None else DECAYS[t.decay](over)
        self.optimizer.options["lr"] = self.state.learning_rate * factor
        order = batches.order(streams.generator("shuffle", self.state.epoch))
        ends = batches.ends(order, 0, n)
        stretch = -(-len(ends) // _STRETCHES)
        total, start = 0.0, 0
        for stop in map(int, [*ends[stretch - 1 : -1 : stretch], n]):
            total += engine.run(order, start, stop, place=self.state.epoch * n)
            shown.advance(stop - start)
            start = stop
        self.optimizer.settle()
        row: dict[str, Any] = {
            "epoch": self.state.epoch + 1,
            "loss": total / n,
            "learning_rate": self.optimizer.options["lr"],
            "train_seconds": round(time.perf_counter() - started, 4),
        }
        self._require_finite("loss", row["loss"])
        # 2. evaluate
        if self.evaluate is not None and (row["epoch"] % t.evaluate_every == 0 or row["epoch"] == t.epochs):
            started = time.perf_counter()
            with torch.no_grad(), needs.evaluating(self.encoder):
                metrics = dict(self.evaluate(self.encoder))
            if t.metric not in metrics:
                checks.fail("metric", f"be one of {', '.join(metrics)}", t.metric, checks.nearest(t.metric, metrics))
            self._require_finite(t.metric, metrics[t.metric])
            row["eval_seconds"] = round(time.perf_counter() - started, 4)
            row |= metrics
        # 3. remember
        self.state.epoch += 1
        self.state.history.append(row)
        if t.metric in row:
            self._judge(row[t.metric])
        if self.folder is not None:
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        return row

    def _start_epoch(self, streams: Streams) -> None:
        """Tell loss and sampler that an epoch begins; the tables are settled."""
        epoch, vectors = self.state.epoch, None
        if "tables" in self.loss.needs | self.negatives.needs:
            vectors = dict(zip(("user_vectors", "item_vectors"), needs.all_vectors(self.encoder), strict=True))
        self.loss.start_epoch(epoch, **(vectors or {}) if "tables" in self.loss.needs else {})
        arrays = {}
        if vectors is not None and "tables" in self.negatives.needs:
            arrays = {name: each.float().cpu().numpy() for name, each in vectors.items()}
        self.negatives.start_epoch(epoch, rng=CounterRng(streams.key("memory"), epoch), **arrays)

    def _require_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"{name} must stay finite; got {value} in epoch {self.state.epoch + 1}. "
                f"Lower learning_rate (now {self.optimizer.options['lr']:g}), or set clip_norm."
            )

    def _judge(self, value: float) -> None:
        """Keep the weights if they are the best so far; else let the schedule and the stopping rule decide."""
        t, state = self.trainer, self.state
        if state.best_value is None or value > state.best_value:
            state.best_value, state.best_epoch, state.waited = value, state.epoch, 0
            self.best = None  # before the new copy is made, so that there is never a second
            self.best = {name: tensor.detach().clone() for name, tensor in self.encoder.state_dict().items()}
            return
        state.waited += 1
        if t.stopping is not None and t.stopping.stops(state.waited):
            state.stopped_early = True
        if t.schedule is not None:
            if t.schedule.restore_best and self.best is not None:
                self.encoder.load_state_dict(self.best)
            if t.schedule.triggers(state.waited):
                state.learning_rate = t.schedule.reduce(state.learning_rate)

    def _save(self) -> None:
        if self.folder is None:
            return
        tensors = {f"encoder.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        tensors |= {f"loss.{name}": tensor for name, tensor in self.loss.state_dict().items()}
        tensors |= {f"negatives.{name}": torch.from_numpy(array) for name, array in self.negatives.state().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        checkpoint.save(self.folder / "checkpoints" / "last.safetensors", tensors, asdict(self.state))
        self._saved = time.perf_counter()


def find_device(name: str) -> str:
    """Return the device called ``name``; "auto" is the CPU, where the compiled kernels run.

    Raises:
        DeviceError: there is no such device here.
    """
    checks.choice("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device must be one this machine has; got 'cuda', and PyTorch sees no GPU. Use device=cpu.")
    return "cpu" if name == "auto" else name
