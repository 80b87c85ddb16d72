"""From a table of titles to a file of item vectors."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from multimargin import checks
from multimargin.data.item_vectors import require_parquet, write_item_vectors
from multimargin.texts.encoders import Encode, find_encoder
from multimargin.texts.tables import read_texts

_PIECE = 2048  # texts between two reports of progress


def embed_items(
    path: str | Path,
    to: str | Path,
    *,
    item: str | None = None,
    text: Sequence[str] | None = None,
    separator: str | None = None,
    encoder: str | Path | Encode | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Embed what items are called, and write a vector for each: what ``SemanticNegatives`` and others take.

    Args:
        path: a table of items: CSV, TSV, RecBole's ``.item``, Parquet; see ``texts.tables.read_texts``.
        to: a ``.parquet`` file, ``item_id`` and ``vector``, that appears when it is whole.
        item: the column of ids; None: by its usual names.
        text: the columns of texts, joined; None: the one called title, name or the like.
        separator: what stands between fields; None: by the suffix.
        encoder: see ``texts.encoders.find_encoder``; None: the installed one.
        progress: told how many texts are done, and of how many.

    Returns:
        How many items, and how many dimensions. An item without a text gets the vector 0.

    Raises:
        DataError: the table cannot be read.
        ArgumentError: there is no such encoder, or it does not give one finite vector for each text.
        OSError: the file cannot be written.
    """
    require_parquet(to)
    ids, texts = read_texts(path, item=item, text=text, separator=separator)
    encode = find_encoder(encoder)
    places = [place for place, each in enumerate(texts) if each]
    pieces = []
    for start in range(0, len(places), _PIECE):
        asked = [texts[place] for place in places[start : start + _PIECE]]
        pieces.append(np.asarray(encode(asked), dtype=np.float32))
        if pieces[-1].ndim != 2 or len(pieces[-1]) != len(asked) or not np.isfinite(pieces[-1]).all():
            got = f"shape {pieces[-1].shape}, finite {bool(np.isfinite(pieces[-1]).all())}"
            checks.fail("encoder", f"give one finite vector for each of {len(asked)} texts", got)
        if progress is not None:
            progress(start + len(asked), len(places))
    vectors = np.zeros((len(texts), pieces[0].shape[1]), dtype=np.float32)
    vectors[places] = np.concatenate(pieces)
    write_item_vectors(to, ids, vectors)
    return vectors.shape
