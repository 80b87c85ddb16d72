"""One file that holds everything a run needs to go on: tensors and a JSON state, never pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from multimargin.errors import CheckpointError

FORMAT = 2  # 2: with the state of loss and sampler


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and state to ``path`` in one piece: a reader finds the old file or the new one, never a mixture."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, temporary, metadata={"format": str(FORMAT), "state": json.dumps(state)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        raise OSError(f"{path}: the checkpoint could not be written: {error}") from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what ``save`` wrote.

    Raises:
        CheckpointError: the file is missing, cut short, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint here. Start the run without resuming.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        state = json.loads(metadata["state"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error}). Delete it and start the run again."
        ) from error
    if metadata.get("format") != str(FORMAT):
        raise CheckpointError(
            f"{path}: checkpoint format must be {FORMAT}; got {metadata.get('format')}. Start the run again."
        )
    return tensors, state
