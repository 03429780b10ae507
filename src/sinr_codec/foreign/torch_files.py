"""Files of `torch.save`, and other pickles of arrays, without PyTorch and without running anything in them.

PyTorch's own weights-only reader refuses a whole file for one object that it does not know. Here such an object stays
what `pickles` makes of it, a name with arguments, and tensors and NumPy's arrays are recognised among these by name:
their shape, dtype and bytes stand in the arguments.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import ml_dtypes
import numpy as np

from sinr_codec.foreign.pickles import RECONSTRUCTORS, Global, Object, load
from sinr_codec.types import Array

MOST_WEIGHTS: Final = 1 << 28
"""Of all tensors together: a few bytes may be a tensor of any shape, by strides of 0."""
MOST_BYTES: Final = 8 * MOST_WEIGHTS
"""Of what is unpacked: a compressed archive may claim more than could ever be accepted."""

_MAGIC: Final = 0x1950A86A20F9469CFC6C  # the first pickle of torch's files before version 1.6
_DTYPES: Final = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_STRIDED: Final = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
_WRAPPED: Final = (
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_device_tensor_from_cpu_tensor",
)
_DICTS: Final = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter")
_LISTS: Final = ("collections.deque", "torch.Size")
_SETS: Final = ("builtins.set", "builtins.frozenset")
_NUMPY: Final = re.compile(r"numpy\._?core\.(multiarray\.scalar|multiarray\._reconstruct|numeric\._frombuffer)")


@dataclass(frozen=True)
class Unkept:
    """Something that cannot be kept, and what it is, in words."""

    what: str


@dataclass(frozen=True)
class Stored:
    """An array in a file, which is read when it is asked for.

    Attributes
    ----------
    shape, dtype
        As those of an array.
    read
        The array.
    identity
        The same for arrays that share their memory and look at it alike.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    identity: object


@dataclass(eq=False)
class _Storage:
    """The memory of tensors: the name of its type, and its bytes."""

    kind: str
    key: str
    start: int  # element at which a view of it begins, in old files
    bytes: Callable[[str], bytes]


def is_archive(names: list[str]) -> bool:
    """Whether a zip archive of these members is one of `torch.save`."""
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in names)


def read_archive(archive: zipfile.ZipFile) -> object:
    """The tree in an open archive of `torch.save`; `understood` tells what its nodes are.

    Raises
    ------
    ValueError and others : damaged, or a program of TorchScript
    """
    names = archive.namelist()
    root = next(name for name in names if name == "data.pkl" or name.endswith("/data.pkl")).removesuffix("data.pkl")
    if f"{root}constants.pkl" in names:
        raise ValueError("a TorchScript program; expected tensors, as torch.save(net.state_dict(), path) gives")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("written on a big-endian machine")
    known: dict[str, bytes] = {}

    def storage(key: str) -> bytes:
        if key not in known:
            info = archive.getinfo(f"{root}data/{key}")
            if info.file_size > MOST_BYTES:
                raise ValueError(f"a tensor of {info.file_size:,} bytes")
            known[key] = archive.read(info)
        return known[key]

    if archive.getinfo(f"{root}data.pkl").file_size > MOST_BYTES:
        raise ValueError("too large")
    return load(io.BytesIO(archive.read(f"{root}data.pkl")), lambda pid: _storage(pid, storage))


def read_pickles(file: IO[bytes]) -> object:
    """The tree in a file of `torch.save` before version 1.6, or in a single pickle of a dict of arrays.

    Raises
    ------
    ValueError and others : damaged
    """
    places: dict[str, tuple[int, int]] = {}  # of storages: first byte, and number of elements or bytes

    def storage(key: str) -> bytes:
        start, length = places[key]
        file.seek(start)
        return file.read(length)

    kinds: dict[str, str] = {}

    def persistent(pid: object) -> object:
        found = _storage(pid, storage)
        kinds[found.key] = found.kind
        return found

    first = load(file, persistent)
    if first != _MAGIC:
        return first
    load(file, persistent)  # the version
    about = load(file, persistent)
    if not isinstance(about, Mapping) or about.get("little_endian") is not True:
        raise ValueError("written on a big-endian machine")
    tree, keys = load(file, persistent), load(file, persistent)
    if not isinstance(keys, list):
        raise ValueError("no list of storages")
    for key in keys:
        # Each storage is preceded by the number of its elements.
        count = int.from_bytes(file.read(8), "little")
        dtype = _dtype(kinds[key])
        length = count * (1 if dtype is None else dtype.itemsize)
        places[key] = file.tell(), length
        file.seek(length, io.SEEK_CUR)
    return tree


def _storage(pid: object, storage: Callable[[str], bytes]) -> _Storage:
    match pid:
        case ("storage", Global(name), str(key), _, int(), *view):
            # ("storage", type, key, device, elements), and in old files a view of it: None, or (key, start, elements).
            start = view[0][1] if view and isinstance(view[0], tuple) else 0
            return _Storage(name.rpartition(".")[2].removesuffix("Storage"), key, int(start), storage)
    raise ValueError("no storage where one is expected")


def understood(node: object) -> object:
    """What a node of a tree is: a `Stored` array, a dict, a list, a tuple; or the node itself.

    Raises
    ------
    ValueError and others : damaged
    """
    if not isinstance(node, Object):
        return node
    start = _start(node)
    if isinstance(start, dict) or node.entries:
        return (start if isinstance(start, dict) else {}) | node.entries
    if isinstance(start, list | tuple) or (node.items and node.name not in _SETS):
        return start if isinstance(start, tuple) else (start or []) + node.items
    if node.name == "torch._tensor._rebuild_from_type_v2":
        function, _, args, *_ = node.args
        return understood(Object(function, args if isinstance(args, tuple) else ()))
    if node.name.startswith("torch._utils."):
        return _tensor(node)
    if (match := _NUMPY.fullmatch(node.name)) is not None:
        return _numpy(match[1], node)
    return node


def _start(node: Object) -> dict[object, object] | list[object] | tuple[object, ...] | None:
    """What an object of a class of dicts, lists or tuples is made with; None for other objects."""
    if isinstance(node.what, Global) and node.what.name in RECONSTRUCTORS:
        _, _, start = node.args
        return start if isinstance(start, dict | list | tuple) else None
    start = node.args[0] if node.args else None
    if node.name in _DICTS:
        if isinstance(start, list):  # of pairs
            return {key: value for key, value in start if isinstance(key, str | int)}
        return start if isinstance(start, dict) else {}
    if node.name in _LISTS and isinstance(start, list | tuple):
        return list(start) if node.name == "collections.deque" else tuple(start)
    return [] if node.name == "collections.deque" else None


def _tensor(node: Object) -> object:
    for _ in range(8):  # parameters of tensors; more are nonsense
        name = node.name.removeprefix("torch._utils.")
        inner = node.args[0] if node.args else None
        if name not in _WRAPPED or not isinstance(inner, Object):
            break
        node = inner
    if _NUMPY.fullmatch(node.name):
        return understood(node)
    if name not in _STRIDED:
        return Unkept(f"a tensor that is quantised, sparse or without data ({name.removeprefix('_rebuild_')})")
    storage, offset, shape, strides = node.args[:4]
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    typed = node.args[6] if name.endswith("v3") else None
    dtype = _dtype(typed.name if isinstance(typed, Global) else storage.kind)
    if dtype is None:
        kind = typed.name if isinstance(typed, Global) else storage.kind
        return Unkept(f"a tensor of {kind.removeprefix('torch.')}")
    flags = node.args[7] if name.endswith("v3") and len(node.args) > 7 else None
    flags = node.args[6] if name.endswith("v2") and len(node.args) > 6 else flags
    conjugate, negative = (isinstance(flags, Mapping) and bool(flags.get(key)) for key in ("conj", "neg"))
    shape, strides = _integers(shape), _integers(strides)
    place = storage.start + _integers((offset,))[0]

    def read() -> Array:
        if math.prod(shape) == 0:
            return np.zeros(shape, dtype)
        memory = np.frombuffer(storage.bytes(storage.key), np.uint8)
        memory = memory[: len(memory) // dtype.itemsize * dtype.itemsize].view(dtype)
        array = _strided(memory, place, shape, strides)
        array = array.conj() if conjugate else array
        return -array if negative else array

    return Stored(shape, dtype, read, (id(storage.bytes), storage.key, place, shape, strides, dtype.name))


def _dtype(kind: str) -> np.dtype[Any] | None:
    """By the name of a storage, such as "Float", or of a dtype, such as "torch.uint16"; None where there is none."""
    name = _DTYPES.get(kind, kind.removeprefix("torch."))
    if name not in (*_DTYPES.values(), "uint16", "uint32", "uint64"):
        return None
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def _integers(values: object) -> tuple[int, ...]:
    values = understood(values)
    if not isinstance(values, tuple | list) or not all(type(x) is int and 0 <= x < 1 << 62 for x in values):
        raise ValueError("a tensor whose shape, strides or offset are no integers")
    return tuple(values)


def _strided(memory: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    if len(shape) != len(strides) or len(shape) > 64:
        raise ValueError("a tensor whose shape and strides differ in length")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
    if last >= len(memory):
        raise ValueError("a tensor beyond the end of its storage")
    steps = [step * memory.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(memory[offset:], shape, steps, writeable=False)


# -- NumPy's scalars and arrays ------------------------------------------------------------------------------------


def _numpy(kind: str, node: Object) -> object:
    if kind == "multiarray.scalar":
        dtype, raw, *_ = node.args
        shape: object = ()
        fortran = False
    elif kind == "multiarray._reconstruct":
        if not isinstance(node.state, tuple):
            raise ValueError("an array without its data")
        _, shape, dtype, flag, raw = node.state
        fortran = flag is True
    else:
        raw, dtype, shape, order = node.args
        fortran = order == "F"
    made = _numpy_dtype(dtype)
    if isinstance(made, Unkept):
        return made
    sizes, data = _integers(shape), _bytes(raw)
    if math.prod(sizes) * made.itemsize != len(data):
        raise ValueError("an array whose data are of another length than its shape says")
    return Stored(
        sizes, made, lambda: np.frombuffer(data, made).reshape(sizes, order="F" if fortran else "C"), id(node)
    )


def _numpy_dtype(dtype: object) -> np.dtype[Any] | Unkept:
    """A dtype from what its pickle says: ("f8", False, True), and then (3, "<", ...)."""
    if not isinstance(dtype, Object) or dtype.name != "numpy.dtype" or not dtype.args:
        raise ValueError("an array without a dtype")
    code = dtype.args[0]
    if not isinstance(code, str) or not re.fullmatch(r"[biufc]\d{1,2}|[SUVOMm]\d{0,9}", code):
        return Unkept("an array of an unknown dtype")
    if code[0] in "SUVOMm":
        return Unkept("an array of text, times, records or objects")
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "="
    try:
        return np.dtype(code).newbyteorder("<" if order == "<" else ">" if order == ">" else "=")
    except TypeError:  # long doubles that this machine has not
        return Unkept(f"an array of dtype {code}")


def _bytes(raw: object) -> bytes:
    match raw:
        case bytes() | bytearray():
            return bytes(raw)
        case str():  # the bytes of Python 2
            return raw.encode("latin-1")
        case Object(what=Global("_codecs.encode"), args=(str(text), "latin1" | "latin-1")):
            return text.encode("latin-1")
        case Object(what=Global("builtins.bytearray" | "__builtin__.bytearray" | "__builtin__.bytes"), args=args):
            return _bytes(args[0]) if args else b""
    raise ValueError("an array without its data")
