"""Public data sets: where from, their hashes, and a cache that holds what was fetched; nothing happens at import."""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from multimargin.checks import nearest
from multimargin.errors import ArgumentError, DataError

_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data"
_CHUNK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte

Progress = Callable[[str, int, int | None], None]
"""Called with (file name, bytes so far, bytes in all or None)."""


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Args:
        name: what ``fetch`` and recipes call it.
        description: one line on what it holds.
        source: address of the folder that holds its files.
        files: file name -> git blob id: SHA-1 of ``"blob <size>\\0" + content``.
        n_users: users in all parts.
        n_items: items in all parts.
        n_train: training interactions.
        n_test: test interactions.
        terms: on what terms it may be used.
    """

    name: str
    description: str
    source: str
    files: Mapping[str, str]
    n_users: int
    n_items: int
    n_train: int
    n_test: int
    terms: str


CATALOGUE: Mapping[str, DataSet] = {
    each.name: each
    for each in (
        DataSet(
            name="gowalla",
            description="check-ins of users at places; the split of NGCF and LightGCN",
            source=f"{_LIGHTGCN}/gowalla",
            files={
                "train.txt": "a27782bd7a1d4d0744148dc0460ea94da74763f2",
                "test.txt": "9ed5af4b5d21511f33740b4e22e3852f45671800",
            },
            n_users=29_858,
            n_items=40_981,
            n_train=810_128,
            n_test=217_242,
            terms="public check-ins collected by SNAP (loc-gowalla)",
        ),
        DataSet(
            name="yelp2018",
            description="reviews of businesses; the split of NGCF and LightGCN",
            source=f"{_LIGHTGCN}/yelp2018",
            files={
                "train.txt": "cda12361055ba448ae4bd1070f6000c16dea8f22",
                "test.txt": "30dfbc3437b27b74cb2970b435a5ec93ad9f2468",
            },
            n_users=31_668,
            n_items=38_048,
            n_train=1_237_259,
            n_test=324_147,
            terms="Yelp's data terms: research use",
        ),
        DataSet(
            name="amazon-book",
            description="reviews of books; the split of NGCF and LightGCN",
            source=f"{_LIGHTGCN}/amazon-book",
            files={
                "train.txt": "6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99",
                "test.txt": "09e5da4e0bf46c751c4ba0f4375e414fd13512cd",
            },
            n_users=52_643,
            n_items=91_599,
            n_train=2_380_730,
            n_test=603_378,
            terms="Amazon reviews collected by UCSD: research use",
        ),
    )
}


def cache_folder(cache: str | Path | None = None) -> Path:
    """Return ``cache``, else the environment's MULTIMARGIN_CACHE, else ``multimargin`` in the user's cache folder."""
    if cache is not None:
        return Path(cache).expanduser()
    if os.environ.get("MULTIMARGIN_CACHE"):
        return Path(os.environ["MULTIMARGIN_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "multimargin"


def find_data_set(name: str) -> DataSet:
    """Return the entry of ``CATALOGUE``.

    Raises:
        ArgumentError: there is none of that name; the message names the nearest.
    """
    if name not in CATALOGUE:
        hint = nearest(name, CATALOGUE)
        raise ArgumentError(
            f"data set must be one of {', '.join(CATALOGUE)}; got {name!r}." + (f" {hint}" if hint else "")
        )
    return CATALOGUE[name]


def locate(name: str, cache: str | Path | None = None) -> Path:
    """Return the cached folder of data set ``name``, its files there but not read.

    Raises:
        DataError: it was not fetched; the message says how to.
    """
    data_set = find_data_set(name)
    folder = cache_folder(cache) / name
    missing = [file for file in data_set.files if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"data set {name!r} must be in {folder}; {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not there. Run `multimargin data fetch {name}`, "
            "or give its path with --data."
        )
    return folder


def fetch(
    name: str, cache: str | Path | None = None, *, source: str | None = None, progress: Progress | None = None
) -> Path:
    """Download data set ``name`` into the cache, verified; what is there and whole is not fetched again.

    Args:
        name: a key of ``CATALOGUE``.
        cache: folder that holds a folder per data set; None: see ``cache_folder``.
        source: address of a folder to fetch from instead, such as a mirror or ``file:///...``.
        progress: told of each piece that arrives.

    Returns:
        The folder with the files.

    Raises:
        DataError: a file cannot be fetched or is not the published one; the message says what to put where.
    """
    data_set = find_data_set(name)
    folder = cache_folder(cache) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} must be a folder to write in; {error.strerror}. Set MULTIMARGIN_CACHE to another one."
        ) from error
    for file, blob_id in data_set.files.items():
        target = folder / file
        if not (target.is_file() and _blob_id(target) == blob_id):
            _download(f"{(source or data_set.source).rstrip('/')}/{file}", target, blob_id, progress)
    return folder


def _download(address: str, target: Path, blob_id: str, progress: Progress | None) -> None:
    by_hand = f"Download {address} by hand and save it as {target}."
    if not address.startswith(("https://", "http://", "file://")):
        raise ArgumentError(f"source must start with https://, http:// or file://; got {address!r}.")
    partial: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as out:
            partial = Path(out.name)
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as response:  # noqa: S310 (schemes are checked)
                total = int(response.headers.get("Content-Length") or 0) or None
                while piece := response.read(_CHUNK):
                    out.write(piece)
                    if progress is not None:
                        progress(target.name, out.tell(), total)
        if (got := _blob_id(partial)) != blob_id:
            raise DataError(
                f"{address} must have git blob id {blob_id}; got {got}. "
                f"It was cut on its way or changed at its source: try again, or save the published file as {target}."
            )
        partial.chmod(0o644)  # temporary files are private; a cache is not
        partial.replace(target)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataError(f"{address} must be reachable; {reason}. {by_hand}") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _blob_id(path: Path) -> str:
    """Return git's id of a file's content; SHA-1 is what git publishes, not a choice of ours."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
