"""The run folder: what a training run leaves behind, who may write to it, and how it is read again.

::

    RUN/
    ├── recipe.yaml        the recipe, every default filled in
    ├── info.json          versions, seed, hashes of data and split, hardware, protocol, threads, memory, time
    ├── metrics.jsonl      one object per epoch
    ├── checkpoints/       last.safetensors: what --resume goes on from, best weights included
    ├── model/             the recommender: tables, ids, seen items
    ├── evaluation.json    the final numbers, with the protocol that made them
    ├── per-user.parquet   the same for each user: user_id and a column per metric
    └── plots/             the learning curve, where matplotlib is installed
"""

import contextlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimargin.errors import CheckpointError
from multimargin.recipes.recipe import Recipe

if TYPE_CHECKING:
    import polars as pl

    from multimargin.recommend import Recommender

_PER_USER = "per-user.parquet"
_PACKAGES = ("multimargin", "numba", "numpy", "polars", "safetensors", "scipy", "torch")


@dataclass(frozen=True)
class Run:
    """A run folder by its path; nothing is read or written until asked for."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe; where it lies, there is a run."""
        return self.path / "recipe.yaml"

    @property
    def model(self) -> Path:
        """The saved recommender."""
        return self.path / "model"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint after the last finished epoch."""
        return self.path / "checkpoints" / "last.safetensors"

    def exists(self) -> bool:
        """Tell whether the folder holds a run, finished or not."""
        return self.recipe_file.exists()

    def require(self) -> "Run":
        """Return this run if its folder holds one.

        Raises:
            CheckpointError: it does not.
        """
        if not self.exists():
            what = (
                "is a file" if self.path.is_file() else "holds no recipe.yaml" if self.path.is_dir() else "is not there"
            )
            raise CheckpointError(f"run must be a folder that 'multimargin fit' wrote; {self.path} {what}.")
        return self

    def recipe(self) -> Recipe:
        """Return the run's recipe."""
        loaded = Recipe.load(self.require().recipe_file)
        return Recipe(str(self.info().get("recipe", loaded.name)), loaded.values)

    def info(self) -> dict[str, Any]:
        """Return info.json."""
        return self._read("info.json")

    def evaluation(self) -> dict[str, Any]:
        """Return evaluation.json."""
        return self._read("evaluation.json")

    def per_user(self) -> "pl.DataFrame":
        """Return per-user.parquet: user_id, and the value of each metric for that user."""
        import polars as pl

        try:
            return pl.read_parquet(self.path / _PER_USER)
        except FileNotFoundError:
            raise CheckpointError(
                f"{self.path / _PER_USER} must be there and is not: the run has not finished, or has no test data. "
                "Continue it with --resume."
            ) from None

    def write_per_user(self, users: "pl.Series", metrics: Mapping[str, Any]) -> None:
        """Write per-user.parquet."""
        import polars as pl

        from multimargin.recommend import write_frames

        write_frames(self.path / _PER_USER, [pl.DataFrame({"user_id": users, **metrics})])

    def history(self) -> list[dict[str, Any]]:
        """Return metrics.jsonl, one mapping per epoch."""
        file = self.path / "metrics.jsonl"
        try:
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []
        except ValueError:
            raise CheckpointError(f"{file} must hold one JSON object per line; it is corrupt.") from None

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write info.json."""
        write_json(self.path / "info.json", info)

    def _read(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(
                f"{file} must be there and is not: the run has not finished. Continue it with --resume."
            ) from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CheckpointError(f"{file} must hold a JSON object; it is corrupt. Fit again into another folder.")
        return found

    @contextlib.contextmanager
    def open(self, recipe: Recipe, data_hash: str, *, resume: bool) -> Iterator[None]:
        """Hold the folder for one process while it trains; leave nothing behind if it fails before the first epoch.

        Args:
            recipe: what is about to be run.
            data_hash: of the data it is about to be run on.
            resume: continue the run that is there.

        Raises:
            CheckpointError: the folder holds another run, a run although ``resume`` is false, other files, or another
                process writes to it.
        """
        self._check(recipe, data_hash, resume=resume)
        made = [each for each in (self.path, *self.path.parents) if not each.exists()]  # innermost first
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with _locked(self.path), self._tidied():
                if self.exists() and Recipe.load(self.recipe_file).differences(recipe):
                    self._forget_the_end()
                    write_text(self.recipe_file, recipe.to_yaml())
                elif not self.exists():
                    write_text(self.recipe_file, recipe.to_yaml())
                yield
        finally:
            for folder in made:
                with contextlib.suppress(OSError):  # not empty: there is a run
                    folder.rmdir()

    def _forget_the_end(self) -> None:
        """Take back that the run has ended: it goes on for more epochs, and its numbers were those of fewer."""
        info = self._read("info.json") if (self.path / "info.json").exists() else {}
        if (self.path / "evaluation.json").exists():  # test data was looked at, and whoever reads on should know
            info["extended_at"] = [*info.get("extended_at", []), info["epochs"]]
        self.write_info(info | {"ended": "running"})
        for name in ("evaluation.json", _PER_USER):
            (self.path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _tidied(self) -> Iterator[None]:
        fresh = not self.exists()
        try:
            yield
        except BaseException:
            if fresh and not self.checkpoint.exists():
                for name in ("recipe.yaml", "info.json", "metrics.jsonl"):
                    (self.path / name).unlink(missing_ok=True)
                shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            raise

    def _check(self, recipe: Recipe, data_hash: str, *, resume: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"run must be a folder; {self.path} is a file. Choose another with --run DIR.")
        if not self.exists():
            if resume:
                raise CheckpointError(
                    f"--resume must find a run; {self.path} holds none. Leave --resume out to start one."
                )
            if self.path.is_dir() and any(self.path.iterdir()):
                raise CheckpointError(
                    f"run must be an empty or new folder; {self.path} holds other files. Choose another with --run DIR."
                )
            return
        if not resume:
            raise CheckpointError(
                f"run must be an empty or new folder; {self.path} holds a run already. "
                "Continue it with --resume, or choose another folder with --run DIR."
            )
        theirs = Recipe.load(self.recipe_file)
        different = theirs.differences(recipe)
        if different and not (different == ["epochs"] and theirs.goes_on_as(recipe)):
            key = next((each for each in different if each != "epochs"), "epochs")
            more = " epochs may grow, where decay is null." if key == "epochs" else ""
            raise CheckpointError(
                f"--resume must be given the recipe it started with; {key} was {theirs.values[key]!r} in {self.path} "
                f"and is {recipe.values[key]!r}.{more} Repeat the same values, or choose another folder with --run DIR."
            )
        if (self.path / "info.json").exists() and self.info().get("data_hash") != data_hash:
            raise CheckpointError(
                f"--resume must be given the data it started with; {self.path} was trained on other interactions. "
                "Choose another folder with --run DIR."
            )


def load(path: str | Path) -> "Recommender":
    """Load a saved recommender.

    Args:
        path: a model folder that ``Recommender.save`` wrote, or a run folder.

    Raises:
        CheckpointError: neither is there, or its files are corrupt.
    """
    from multimargin.recommend import Recommender

    run = Run(Path(path))
    if not run.exists():
        return Recommender.load(run.path)
    if not run.model.exists():
        raise CheckpointError(
            f"{run.path} must hold a model and does not: the run has not finished. Continue it with --resume."
        )
    return Recommender.load(run.model)


def environment() -> dict[str, Any]:
    """Return the versions and hardware that a run's numbers and times depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "versions": versions,
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": memory_gib(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
    }


def peak_memory_mib() -> float | None:
    """Return the most memory this process has held at once, in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes there, KiB elsewhere


def memory_gib() -> float | None:
    """Return how much memory this machine has, in GiB; None where the system does not tell."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON to a temporary name, then move it to ``path``."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to a temporary name in the same folder, then move it to ``path``."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder itself, so that no lock file is left and a killed process lets go."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock on folders there
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(
                f"run must not be in use; another process is writing to {folder}. Wait for it, or choose --run DIR."
            ) from None
        yield
    finally:
        os.close(handle)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
