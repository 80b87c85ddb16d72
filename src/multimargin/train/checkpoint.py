"""One file that holds everything a run needs to go on: tensors and a JSON state, never pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from multimargin.errors import CheckpointError

FORMAT = 2  # 2: with the state of loss and sampler
_ROWS = 2**14  # rows that are copied at a time
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and state to ``path`` in one piece: a reader finds the old file or the new one, never a mixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write(file, tensors, {"format": str(FORMAT), "state": json.dumps(state)})
            file.flush()
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


def _write(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file some thousand rows at a time; its own writer wants every tensor contiguous, at once.

    A file is the length of a JSON header, the header, and the tensors one behind the other, the widest types first, so
    that all are aligned.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    ordered = sorted(tensors, key=lambda name: -tensors[name].element_size())
    end = 0
    for name in ordered:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in ordered:
        tensor = tensors[name].detach()
        tensor = tensor if tensor.ndim else tensor[None]
        for start in range(0, len(tensor), _ROWS):
            rows = tensor[start : start + _ROWS].cpu().contiguous()
            file.write(rows.reshape(-1).view(torch.uint8).numpy().data)
