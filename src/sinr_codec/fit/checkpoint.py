"""Checkpoints of a fit: one safetensors file, written atomically, never unpickled."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sinr_codec.errors import InputError
from sinr_codec.files import atomic_write

logger = logging.getLogger(__name__)

_TENSOR: Final = "\0tensor"
_VERSION: Final = "1"


def save(path: Path, state: dict[str, Any], identity: str) -> None:
    """Write nested dicts, lists, numbers and tensors; `identity` names the fit they belong to.

    Raises
    ------
    InputError
        The file cannot be written; an older checkpoint is left unchanged.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(state, tensors)
    metadata = {"version": _VERSION, "identity": identity, "state": json.dumps(skeleton)}
    try:
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (SafetensorError, OSError) as error:  # safetensors reports a full disk as an error of its own
        raise InputError(f"{path}: cannot be written ({str(error).partition(chr(10))[0]})") from error


def try_to_save(path: Path, state: dict[str, Any], identity: str) -> None:
    """As `save`, but failures are only logged, so that they do not end the fit."""
    try:
        save(path, state, identity)
    except InputError as error:
        logger.warning("checkpoint skipped: %s", error)


def discard(path: Path | None) -> None:
    """Remove the checkpoint of a finished fit, if there is one; a symbolic link to it stays."""
    if path is None:
        return
    try:
        Path(path).resolve().unlink(missing_ok=True)
    except OSError as error:
        logger.warning("checkpoint not removed: %s: %s", path, error.strerror or error)


def load(path: Path, identity: str) -> dict[str, Any] | None:
    """The state, or None if there is no such file.

    Raises
    ------
    InputError
        The file is no checkpoint, or belongs to another fit.
    """
    if not Path(path).exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != _VERSION or "state" not in metadata:
                raise InputError(f"{path}: expected a checkpoint of a fit")
            if metadata.get("identity") != identity:
                raise InputError(f"{path}: a checkpoint of another fit; remove it or name another file")
            state: dict[str, Any] = _fill(json.loads(metadata["state"]), file)
            return state
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a checkpoint of a fit, found a damaged file") from error


def _strip(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON, with its tensors moved to `tensors` under running numbers; keys of dicts keep their type."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # the order of the axes in memory decides which kernel computes a product, and so its last bits
        order = sorted(range(value.ndim), key=lambda axis: -value.stride(axis))
        tensors[name] = value.detach().cpu().permute(order).contiguous().clone()
        return {_TENSOR: name, "order": order}
    if isinstance(value, dict):
        return {"items": [[key, _strip(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_strip(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_strip(item, tensors) for item in value]
    return value


def _fill(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_fill(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        tensor: Tensor = file.get_tensor(value[_TENSOR]).clone()
        order = value["order"]
        return tensor.permute([order.index(axis) for axis in range(tensor.ndim)])
    if "tuple" in value:
        return tuple(_fill(item, file) for item in value["tuple"])
    return {key: _fill(item, file) for key, item in value["items"]}
