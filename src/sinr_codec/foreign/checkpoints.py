"""Networks that other programs saved: read and written without ever running what is inside.

A checkpoint becomes a flat dict of arrays. Nested dicts and lists are flattened with dots and the keys stay
exactly as stored: `{"state_dict": {"layers.0.weight": w}}` gives "state_dict.layers.0.weight". The nesting and
the plain values beside the tensors (a step count, settings) are kept apart, so that a torch file can be written
as it was.
"""

import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import ml_dtypes
import numpy as np

from sinr_codec import streams
from sinr_codec.container import DEFAULT_LIMITS, DTYPES
from sinr_codec.errors import InputError, MissingExtraError, quoted
from sinr_codec.files import atomic_write
from sinr_codec.types import Cbor, PathLike

TORCH_SUFFIXES: Final = (".pt", ".pth", ".ckpt", ".bin")
SUFFIXES: Final = (".safetensors", ".npz", *TORCH_SUFFIXES)
_MAGIC: Final = {
    ".npz": rb"PK\x03\x04.{26}[^\x00]{1,200}?\.npy",
    ".pt": rb"PK\x03\x04|\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.",
    ".safetensors": rb".{8}\{",
}

_SAFETENSORS_DTYPES: Final = {
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
_MOMENTS: Final = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "param_groups"}


TEXT_KEYS: Final = 0
INTEGER_KEYS: Final = 1
LIST: Final = 2
"""Kinds of containers in a tree: what their keys were before they were joined."""
_MOST_VALUE: Final = 1 << 12  # characters of one plain value; longer ones are logs or text, not settings
_MOST_VALUES: Final = 1 << 18  # of all together: they are kept in a header
_MOST_NESTING: Final = 64


@dataclass(frozen=True)
class Checkpoint:
    """A network's tensors in their original order.

    Attributes
    ----------
    state
        Arrays by joined name.
    skipped
        One line for each thing that was left out.
    optimiser
        Names in `state` of what an optimiser keeps, where that was asked for.
    containers
        Kind (`TEXT_KEYS`, ...) by joined name of each dict or list on the way to a tensor or value; the outermost one
        is "" and is left out where it is an ordinary dict.
    values
        Numbers, text and lists of them beside the tensors, by joined name.
    """

    state: dict[str, np.ndarray]
    skipped: tuple[str, ...] = ()
    optimiser: frozenset[str] = frozenset()
    containers: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Cbor] = field(default_factory=dict)


def read_checkpoint(source: object, keep_optimiser: bool = False) -> Checkpoint:
    """Read the tensors of a file, a torch module or a (nested) mapping of arrays or torch tensors.

    Files are .safetensors, .npz, or what `torch.save` wrote (.pt, .pth, .ckpt, .bin), which goes through
    torch's weights-only reader and nothing else. Optimiser state is left out unless `keep_optimiser`; what is left
    out, such as values that are neither tensors nor plain, is listed in `Checkpoint.skipped`.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, holds no tensor, holds Python objects that only
        unpickling would restore, or a tensor whose dtype is not one of `sinr_codec.container.DTYPES`.
    MissingExtraError
        The file needs PyTorch and there is none.
    """
    if streams.is_stream(source):
        with streams.as_file(source, lambda head: _suffix_of(head, streams.name_of(source))) as copied:
            return read_checkpoint(copied, keep_optimiser)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        name, tree = str(source), _reader(path)(path)
    elif callable(state_dict := getattr(source, "state_dict", None)):
        name, tree = type(source).__name__, state_dict()
    elif isinstance(source, Mapping):
        name, tree = "the state dict", source
    else:
        raise InputError(
            f"cannot read a network from a {type(source).__name__}; "
            f"expected a path ({', '.join(SUFFIXES)}), a torch module or a dict of arrays"
        )
    return _collect(name, tree, keep_optimiser)


def write_checkpoint(
    state: Mapping[str, np.ndarray],
    path: PathLike,
    containers: Mapping[str, int] | None = None,
    values: Mapping[str, Cbor] | None = None,
) -> None:
    """Write a flat dict of arrays as .safetensors, .npz or a torch file, by the suffix of `path`.

    A torch file gets back the nesting and the values of a `Checkpoint`; the other kinds have room for neither.

    Raises
    ------
    InputError
        The suffix is unknown, the file cannot be written, or the file type cannot hold a tensor's dtype.
    MissingExtraError
        The file needs PyTorch and there is none.
    """
    suffix = check_format(path)
    # NumPy's own order="C" keeps 0-d arrays 0-d; safetensors reads memory as it lies.
    state = {name: np.asarray(array, order="C") for name, array in state.items()}
    if suffix == ".safetensors":
        _write_safetensors(state, path)
    elif suffix == ".npz":
        _write_npz(state, path)
    else:
        _write_torch(state, path, containers or {}, values or {})


def check_format(path: PathLike) -> str:
    """The extension of a network file, in lower case; `InputError` and `MissingExtraError` as `write_checkpoint`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of network file; {_expected()}")
    if suffix in TORCH_SUFFIXES:
        _torch(path)
    return suffix


# --- reading -----------------------------------------------------------------------------------------------


def _reader(path: Path) -> Callable[[Path], Mapping[str, object]]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of network file; {_expected()}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if suffix == ".safetensors":
        return _read_safetensors
    return _read_npz if suffix == ".npz" else _read_torch


def _suffix_of(head: bytes, name: str) -> str:
    """Extension of a stream's first bytes, or of its name."""
    for suffix, magic in _MAGIC.items():
        if re.match(magic, head, re.DOTALL):
            return suffix
    if (suffix := Path(name).suffix.lower()) in SUFFIXES:
        return suffix
    raise InputError(f"{name}: the first bytes are not those of a network; {_expected()}")


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
            raise InputError(f"{path}: tensor {quoted(name)} has dtype {view['dtype']}; expected {_known_dtypes()}")
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


def _read_torch(path: Path) -> Mapping[str, object]:
    torch = _torch(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises programmers there; a refusal says what matters
            tree = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly everything on damaged files
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            problem = f"holds Python objects ({found[1]}); expected tensors, as torch.save(net.state_dict()) gives"
        else:
            problem = f"not a readable PyTorch file of weights, or damaged ({type(error).__name__}: {_one_line(error)})"
        raise InputError(f"{path}: {problem}") from error
    if isinstance(tree, torch.Tensor):
        raise InputError(f"{path}: holds a single tensor; expected a dict of tensors")
    if not isinstance(tree, Mapping):
        raise InputError(f"{path}: holds a {type(tree).__name__}; expected a dict of tensors")
    return tree


def _torch(path: PathLike) -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs PyTorch: pip install 'sinr-codec[fit]'") from error
    return torch


# --- from a tree of anything to a flat dict of arrays ------------------------------------------------------


def _collect(source: str, tree: Mapping[Any, object], keep_optimiser: bool) -> Checkpoint:
    walk = _Walk(keep_optimiser)
    state: dict[str, np.ndarray] = {}
    paths: dict[str, tuple[str, ...]] = {}
    params = room = 0
    values: dict[str, Cbor] = {}
    for keys, leaf in walk.leaves(tree, ()):
        name = ".".join(keys)
        if name in paths:
            raise InputError(f"{source}: joined with dots, two entries have the name {quoted(name)}")
        if not _is_tensor(leaf):
            room += len(name) + len(repr(leaf))
            if room > _MOST_VALUES:
                walk.skipped.append(f"{name}: {_describe(leaf)}, not a tensor")
                continue
            values[name] = leaf
        else:
            # Before copying: a torch tensor of a few bytes may be expanded to any shape.
            params += math.prod(leaf.shape)
            if params > DEFAULT_LIMITS.max_params:
                raise InputError(f"{source}: more than {DEFAULT_LIMITS.max_params:,} weights; expected fewer")
            state[name] = _to_array(source, name, leaf)
        paths[name] = keys
    if not state:
        raise InputError(f"{source}: holds no tensors")
    containers = walk.containers(paths.values())
    if any(_path(name, containers) != list(keys) for name, keys in paths.items()):
        walk.skipped.append("the nesting of the dicts: their keys have dots that look like it")
        containers = {}
    return Checkpoint(state, tuple(walk.skipped), frozenset(walk.optimiser & state.keys()), containers, values)


class _Walk:
    """The leaves of a tree that are kept, and what was met on the way."""

    def __init__(self, keep_optimiser: bool) -> None:
        self.keep_optimiser = keep_optimiser
        self.skipped: list[str] = []
        self.optimiser: set[str] = set()
        self.kinds: dict[tuple[str, ...], int] = {}
        self.lengths: dict[tuple[str, ...], int] = {}

    def containers(self, paths: Iterable[tuple[str, ...]]) -> dict[str, int]:
        """What `Checkpoint.containers` holds, for the leaves that were kept."""
        children: dict[tuple[str, ...], set[str]] = {}
        for keys in paths:
            for depth, key in enumerate(keys):
                children.setdefault(keys[:depth], set()).add(key)
        kinds = {keys: self.kinds[keys] for keys in children}
        for keys, length in self.lengths.items():
            # Where something of a list is left out, the others keep their numbers.
            if keys in kinds and len(children[keys]) < length:
                kinds[keys] = INTEGER_KEYS
        return {".".join(keys): kind for keys, kind in kinds.items() if keys or kind != TEXT_KEYS}

    def leaves(
        self, node: object, keys: tuple[str, ...], optimiser: bool = False
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield (keys, tensor or plain value) in order; add a line to `skipped` for everything else."""
        name = ".".join(keys)
        optimiser = optimiser or _is_optimiser_state(keys, node)
        if optimiser and not self.keep_optimiser:
            self.skipped.append(f"{name}: optimiser state")
        elif _is_tensor(node) or _is_plain(node):
            if optimiser:
                self.optimiser.add(name)
            yield keys, node
        elif isinstance(node, Mapping) and len(keys) < _MOST_NESTING:
            integers = len(node) > 0 and all(type(key) is int for key in node)
            self.kinds[keys] = INTEGER_KEYS if integers else TEXT_KEYS
            for key, child in node.items():
                yield from self.leaves(child, (*keys, str(key)), optimiser)
        elif isinstance(node, list | tuple) and len(keys) < _MOST_NESTING and any(map(_is_inner, node)):
            self.kinds[keys] = LIST
            self.lengths[keys] = len(node)
            for number, child in enumerate(node):
                yield from self.leaves(child, (*keys, str(number)), optimiser)
        else:
            self.skipped.append(f"{name}: {_describe(node)}, not a tensor")


def _is_inner(node: object) -> bool:
    return _is_tensor(node) or isinstance(node, Mapping | list | tuple)


def _is_plain(node: object, depth: int = 0) -> bool:
    """Numbers, short text and short lists of them: what a header can hold."""
    if isinstance(node, list | tuple):
        short = depth < 2 and len(node) <= _MOST_VALUE
        return short and all(_is_plain(item, depth + 1) for item in node) and len(repr(node)) <= _MOST_VALUE
    if type(node) is float:
        return math.isfinite(node)
    if type(node) is int:
        return -(2**63) <= node < 2**63
    return node is None or type(node) is bool or (type(node) is str and len(node) <= _MOST_VALUE)


def _is_tensor(node: object) -> bool:
    """Arrays of numbers of any library (NumPy, torch, JAX); arrays of text are none."""
    if not (hasattr(node, "dtype") and hasattr(node, "shape")):
        return False
    return getattr(node.dtype, "kind", "f") not in "SUMmO"


def _is_optimiser_state(keys: tuple[str, ...], node: object) -> bool:
    parts = [part for key in keys for part in key.split(".")]
    if not parts:
        return False
    if isinstance(node, Mapping) and {"state", "param_groups"} <= node.keys():
        return True
    inside = parts[:-1] if _is_tensor(node) else parts
    return any(part.startswith("optim") for part in inside) or not _MOMENTS.isdisjoint(parts)


def _describe(node: object) -> str:
    if isinstance(node, bool | int | float | str):
        return f"{type(node).__name__} {_one_line(repr(node), 40)}"
    return type(node).__name__


def _to_array(source: str, name: str, leaf: object) -> np.ndarray:
    """One tensor as a C-ordered, native-endian array of a dtype that the format holds."""
    array = _from_torch(source, name, leaf) if hasattr(leaf, "detach") else np.asarray(leaf)
    array = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    if array.dtype not in DTYPES:
        raise InputError(f"{source}: tensor {quoted(name)} has dtype {array.dtype}; expected {_known_dtypes()}")
    return array


def _from_torch(source: str, name: str, tensor: Any) -> np.ndarray:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized or tensor.is_meta or str(tensor.layout) != "torch.strided":
        raise InputError(f"{source}: tensor {quoted(name)} is quantised, sparse or without data; save it dense")
    if dtype != "bfloat16" and dtype not in [known.name for known in DTYPES]:
        raise InputError(f"{source}: tensor {quoted(name)} has dtype {dtype}; expected {_known_dtypes()}")
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


def _write_safetensors(state: dict[str, np.ndarray], path: PathLike) -> None:
    from safetensors.numpy import save_file

    for name, array in state.items():
        if array.dtype.name not in _SAFETENSORS_DTYPES.values():
            raise InputError(f"{path}: tensor {quoted(name)} is {array.dtype}; .safetensors lacks it; use .npz or .pt")
    with atomic_write(path) as temporary:
        save_file(state, temporary)


def _write_npz(state: dict[str, np.ndarray], path: PathLike) -> None:
    for name, array in state.items():
        if array.dtype == ml_dtypes.bfloat16:
            raise InputError(f"{path}: tensor {quoted(name)} is bfloat16, which .npz lacks; use .safetensors or .pt")
    # Not np.savez: its own parameters would collide with a tensor named "file".
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in state.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_torch(
    state: dict[str, np.ndarray],
    path: PathLike,
    containers: Mapping[str, int],
    values: Mapping[str, Cbor],
) -> None:
    torch = _torch(path)

    def to_torch(array: np.ndarray) -> Any:
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    tensors = {name: to_torch(array) for name, array in state.items()}
    with atomic_write(path) as temporary:
        torch.save(_nested(tensors | dict(values), containers), temporary)


def _nested(leaves: dict[str, object], containers: Mapping[str, int]) -> object:
    """The tree of the leaves, or the flat dict where the containers do not fit them."""
    try:
        root: dict[Any, Any] = {}
        for name, leaf in leaves.items():
            *outer, last = _path(name, containers)
            if len(outer) > _MOST_NESTING:
                return leaves
            node, way = root, ""
            for depth, key in enumerate(outer):
                node = node.setdefault(_key(key, containers.get(way, TEXT_KEYS)), {})
                way = ".".join(outer[: depth + 1])
            innermost = _key(last, containers.get(way, TEXT_KEYS))
            if innermost in node:
                return leaves
            node[innermost] = leaf
        return _with_lists(root, "", containers)
    except (ValueError, AttributeError, TypeError):  # an integer that is none, a leaf where a dict should be
        return leaves


def _with_lists(node: object, name: str, containers: Mapping[str, int]) -> object:
    if not isinstance(node, dict):
        return node
    children = {
        key: _with_lists(child, f"{name}.{key}" if name else str(key), containers) for key, child in node.items()
    }
    if containers.get(name) != LIST:
        return children
    if list(children) != list(range(len(children))):
        raise ValueError("a list with gaps")
    return list(children.values())


def _key(key: str, kind: int) -> str | int:
    return key if kind == TEXT_KEYS else int(key)


def _path(name: str, containers: Mapping[str, int]) -> list[str]:
    """The keys of a joined name: it is cut at each dot that ends a container's name."""
    keys, start = [], 0
    for i, character in enumerate(name):
        if character == "." and name[:i] in containers:
            keys.append(name[start:i])
            start = i + 1
    return [*keys, name[start:]]
