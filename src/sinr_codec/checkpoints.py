"""Networks that other programs saved: read and written without ever running what is inside.

A checkpoint becomes a flat dict of arrays. Nested dicts and lists are flattened with dots and the keys stay
exactly as stored: `{"state_dict": {"layers.0.weight": w}}` gives "state_dict.layers.0.weight".
"""

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from sinr_codec.container import DEFAULT_LIMITS, DTYPES
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.files import atomic_write

TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
SUFFIXES = (".safetensors", ".npz", *TORCH_SUFFIXES)

_SAFETENSORS_DTYPES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "C64": "complex64",
    "BOOL": "bool",
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "U64": "uint64",
}
# What optimisers keep for each weight: torch's Adam and SGD families.
_MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "param_groups"}


@dataclass(frozen=True)
class Checkpoint:
    """A network's tensors in their original order, and one line for each thing that was left out."""

    state: dict[str, np.ndarray]
    skipped: tuple[str, ...] = ()


def read_checkpoint(source: Any) -> Checkpoint:
    """Read the tensors of a file, a torch module or a (nested) mapping of arrays or torch tensors.

    Files are .safetensors, .npz, or what `torch.save` wrote (.pt, .pth, .ckpt, .bin), which goes through
    torch's weights-only reader and nothing else. Optimiser state, and values that are no tensors, are left
    out and listed in `Checkpoint.skipped`.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, holds no tensor, holds Python objects that only
        unpickling would restore, or a tensor whose dtype is not one of `sinr_codec.container.DTYPES`.
    MissingExtraError
        The file needs PyTorch and there is none.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        name, tree = str(source), _reader(path)(path)
    elif callable(getattr(source, "state_dict", None)):
        name, tree = type(source).__name__, source.state_dict()
    elif isinstance(source, Mapping):
        name, tree = "the state dict", source
    else:
        raise InputError(
            f"cannot read a network from a {type(source).__name__}; "
            f"expected a path ({', '.join(SUFFIXES)}), a torch module or a dict of arrays"
        )
    return _collect(name, tree)


def write_checkpoint(state: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Write a flat dict of arrays as .safetensors, .npz or a torch file, by the suffix of `path`.

    Raises
    ------
    InputError
        The suffix is unknown, the file cannot be written, or the file type cannot hold a tensor's dtype.
    MissingExtraError
        The file needs PyTorch and there is none.
    """
    suffix = Path(path).suffix.lower()
    # NumPy's own order="C" keeps 0-d arrays 0-d; safetensors reads memory as it lies.
    state = {name: np.asarray(array, order="C") for name, array in state.items()}
    if suffix == ".safetensors":
        _write_safetensors(state, path)
    elif suffix == ".npz":
        _write_npz(state, path)
    elif suffix in TORCH_SUFFIXES:
        _write_torch(state, path)
    else:
        raise InputError(f"{path}: unknown kind of network file; {_expected()}")


# --- reading -----------------------------------------------------------------------------------------------


def _reader(path: Path) -> Callable[[Path], Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of network file; {_expected()}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if suffix == ".safetensors":
        return _read_safetensors
    return _read_npz if suffix == ".npz" else _read_torch


def _expected() -> str:
    return f"expected one of {', '.join(SUFFIXES)}"


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import safetensors

    try:
        data = path.read_bytes()
        views = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a readable safetensors file ({_one_line(error)})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    # `deserialize` gives no order of its own; its checks make the header safe to look at.
    order = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    state = {}
    for name in order:
        if name == "__metadata__":
            continue
        view = views[name]
        dtype = _SAFETENSORS_DTYPES.get(view["dtype"])
        if dtype is None:
            raise InputError(f"{path}: tensor {name!r} has dtype {view['dtype']}; expected {_known_dtypes()}")
        state[name] = np.frombuffer(view["data"], np.dtype(dtype)).reshape(view["shape"])
    return state


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    # 16 bytes is the largest dtype; a compressed archive may claim more than could ever be accepted.
    bound = 16 * DEFAULT_LIMITS.max_params
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > bound:
            raise InputError(f"{path}: unpacks to {unpacked:,} bytes; expected at most {bound:,}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except InputError:
        raise
    except Exception as error:  # ValueError, BadZipFile, zlib.error, RuntimeError of encrypted archives, ...
        raise InputError(f"{path}: not a readable .npz file of plain arrays ({_one_line(error)})") from error


def _read_torch(path: Path) -> Mapping[str, Any]:
    torch = _torch(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises programmers there; a refusal says what matters
            tree = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly everything on damaged files
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            problem = f"holds Python objects ({found[1]}); expected tensors, as torch.save(net.state_dict()) gives"
        else:
            problem = f"not a readable PyTorch file of weights ({_one_line(error)})"
        raise InputError(f"{path}: {problem}") from error
    if isinstance(tree, torch.Tensor):
        raise InputError(f"{path}: holds a single tensor; expected a dict of tensors")
    if not isinstance(tree, Mapping):
        raise InputError(f"{path}: holds a {type(tree).__name__}; expected a dict of tensors")
    return tree


def _torch(path: str | os.PathLike[str]) -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs PyTorch: pip install 'sinr-codec[fit]'") from error
    return torch


# --- from a tree of anything to a flat dict of arrays ------------------------------------------------------


def _collect(source: str, tree: Mapping[Any, Any]) -> Checkpoint:
    state: dict[str, np.ndarray] = {}
    skipped: list[str] = []
    params = 0
    for keys, leaf in _walk(tree, (), skipped):
        name = ".".join(keys)
        if name in state:
            raise InputError(f"{source}: joined with dots, two tensors have the name {name!r}")
        # Before copying: a torch tensor of a few bytes may be expanded to any shape.
        params += math.prod(leaf.shape)
        if params > DEFAULT_LIMITS.max_params:
            raise InputError(f"{source}: more than {DEFAULT_LIMITS.max_params:,} weights; expected fewer")
        state[name] = _to_array(source, name, leaf)
    if not state:
        raise InputError(f"{source}: holds no tensors")
    return Checkpoint(state, tuple(skipped))


def _walk(node: Any, keys: tuple[str, ...], skipped: list[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (keys, tensor) in order; add a line to `skipped` for everything else."""
    name = ".".join(keys)
    if _is_optimiser_state(keys, node):
        skipped.append(f"{name}: optimiser state")
    elif _is_tensor(node):
        yield keys, node
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from _walk(child, (*keys, str(key)), skipped)
    elif isinstance(node, list | tuple) and any(_is_tensor(x) or isinstance(x, Mapping) for x in node):
        for number, child in enumerate(node):
            yield from _walk(child, (*keys, str(number)), skipped)
    else:
        skipped.append(f"{name}: {_describe(node)}, not a tensor")


def _is_tensor(node: Any) -> bool:
    """Arrays of numbers of any library (NumPy, torch, JAX); arrays of text are none."""
    if not (hasattr(node, "dtype") and hasattr(node, "shape")):
        return False
    return getattr(node.dtype, "kind", "f") not in "SUMmO"


def _is_optimiser_state(keys: tuple[str, ...], node: Any) -> bool:
    parts = [part for key in keys for part in key.split(".")]
    if not parts:
        return False
    if isinstance(node, Mapping) and {"state", "param_groups"} <= node.keys():
        return True
    inside = parts[:-1] if _is_tensor(node) else parts
    return any(part.startswith("optim") for part in inside) or not _MOMENTS.isdisjoint(parts)


def _describe(node: Any) -> str:
    if isinstance(node, bool | int | float | str):
        return f"{type(node).__name__} {_one_line(repr(node), 40)}"
    return type(node).__name__


def _to_array(source: str, name: str, leaf: Any) -> np.ndarray:
    """One tensor as a C-ordered, native-endian array of a dtype that the format holds."""
    array = _from_torch(source, name, leaf) if hasattr(leaf, "detach") else np.asarray(leaf)
    array = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    if array.dtype not in DTYPES:
        raise InputError(f"{source}: tensor {name!r} has dtype {array.dtype}; expected {_known_dtypes()}")
    return array


def _from_torch(source: str, name: str, tensor: Any) -> np.ndarray:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized or tensor.is_meta or str(tensor.layout) != "torch.strided":
        raise InputError(f"{source}: tensor {name!r} is quantised, sparse or without data; expected a dense tensor")
    if dtype != "bfloat16" and dtype not in [known.name for known in DTYPES]:
        raise InputError(f"{source}: tensor {name!r} has dtype {dtype}; expected {_known_dtypes()}")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if dtype == "bfloat16":
        return tensor.view(_torch(source).int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _known_dtypes() -> str:
    return ", ".join(dtype.name for dtype in DTYPES)


def _one_line(error: object, length: int = 160) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 3] + "..."


# --- writing -----------------------------------------------------------------------------------------------


def _write_safetensors(state: dict[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    from safetensors.numpy import save_file

    for name, array in state.items():
        if array.dtype.name not in _SAFETENSORS_DTYPES.values():
            raise InputError(f"{path}: tensor {name!r} is {array.dtype}, which .safetensors lacks; use .npz or .pt")
    with atomic_write(path) as temporary:
        save_file(state, temporary)


def _write_npz(state: dict[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    for name, array in state.items():
        if array.dtype == ml_dtypes.bfloat16:
            raise InputError(f"{path}: tensor {name!r} is bfloat16, which .npz lacks; use .safetensors or .pt")
    # Not np.savez: its own parameters would collide with a tensor named "file".
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in state.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_torch(state: dict[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    torch = _torch(path)

    def to_torch(array: np.ndarray) -> Any:
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    with atomic_write(path) as temporary:
        torch.save({name: to_torch(array) for name, array in state.items()}, temporary)
