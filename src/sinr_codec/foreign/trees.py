"""Trees of dicts, lists and tensors as flat dicts of arrays, and back.

The keys on the way to a tensor are joined with dots and stay exactly as stored:
`{"state_dict": {"layers.0.weight": w}}` gives "state_dict.layers.0.weight". The nesting and the plain values beside
the tensors (a step count, settings) are kept apart.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ml_dtypes
import numpy as np

from sinr_codec.container import DTYPES
from sinr_codec.errors import InputError, printable, quoted
from sinr_codec.foreign.pickles import Global, Object
from sinr_codec.foreign.torch_files import MOST_WEIGHTS, Stored, Unkept

TEXT_KEYS: Final = 0
INTEGER_KEYS: Final = 1
LIST: Final = 2
TUPLE: Final = 3
"""Kinds of containers in a tree: what their keys were before they were joined."""

Value = None | bool | int | float | str | list["Value"] | tuple["Value", ...]

_MOST_VALUE: Final = 1 << 12  # characters of one plain value; longer ones are logs or text, not settings
_MOST_VALUES: Final = 1 << 18  # of all together: they are kept in a header
_MOST_NESTING: Final = 64
_MOST_NODES: Final = 1 << 16  # containers: a few bytes may be a tree of any size, in which lists are shared
_ITEMS_A_NODE: Final = 1 << 6  # that count as much as a container
_MOST_LINES: Final = 100  # on what is left out
_MOST_BITS: Final = 1 << 12  # of an integer
_DTYPE_NAMES: Final = {dtype.name for dtype in DTYPES}

# What optimisers keep for each weight: torch's Adam and SGD families.
_MOMENTS: Final = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"}
# Names of an optimiser, and of its state. Names like "optim_latents" are those of networks.
_OPTIMISER: Final = re.compile(r"(optim(i[sz]er)?|opt)s?(_\w{1,2})?")
_OPTIMISER_STATE: Final = re.compile(r"(optim(i[sz]er)?|opt)s?(_\w{1,2})?_states?(_dicts?)?(_\w{1,2})?")


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
        Kind (`TEXT_KEYS`, ...) by joined name of each dict, list or tuple on the way to a tensor or value, and of each
        empty dict; the outermost one is "" and is left out where it is an ordinary dict.
    values
        Numbers, text and lists of them beside the tensors, by joined name.
    metadata
        Text by key, where a file has such a table beside its tensors (.safetensors).
    """

    state: dict[str, np.ndarray]
    skipped: tuple[str, ...] = ()
    optimiser: frozenset[str] = frozenset()
    containers: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def flat(
    source: str,
    tree: Mapping[Any, object],
    keep_optimiser: bool = False,
    understood: Callable[[object], object] = lambda node: node,
) -> Checkpoint:
    """The tensors of a tree, and what is beside them. `understood` gives each node as what it is.

    Raises
    ------
    InputError
        No tensor, two of the same name, more entries or weights than any network has, or names that are no text.
    """
    walk = _Walk(source, keep_optimiser, understood)
    state: dict[str, np.ndarray] = {}
    paths: dict[str, tuple[str, ...]] = {}
    params = room = 0
    values: dict[str, Value] = {}
    empty: list[tuple[str, ...]] = []
    for keys, leaf in walk.leaves(tree, ()):
        name = ".".join(keys)
        if name in paths:
            raise InputError(f"{source}: joined with dots, two entries have the name {quoted(name)}")
        if not _is_tensor(leaf):
            room += len(name) + len(repr(leaf))
            if room > _MOST_VALUES:
                walk.skip(name, f"{_describe(leaf)}, more than a file has room for")
                continue
            if leaf == {}:
                empty.append(keys)
            else:
                values[name] = leaf
        else:
            # Before copying: a tensor of a few bytes may be expanded to any shape.
            params += math.prod(leaf.shape)
            if params > MOST_WEIGHTS:
                raise InputError(f"{source}: more than {MOST_WEIGHTS:,} weights; expected fewer")
            if (why := _unfit(leaf)) is not None:
                walk.skip(name, why)
                continue
            state[name] = _to_array(source, name, leaf)
        paths[name] = keys
    if not state:
        left_out = f" that can be kept ({walk.skipped[0]})" if walk.skipped else ""
        raise InputError(f"{source}: holds no tensors{left_out}")
    containers = walk.containers(paths.values(), empty)
    if any(split(name, containers) != list(keys) for name, keys in paths.items()):
        walk.skip("", "the nesting of the dicts: their keys have dots that look like it")
        containers = {}
    return Checkpoint(state, walk.lines(), frozenset(walk.optimiser & state.keys()), containers, values)


class _Walk:
    """The leaves of a tree that are kept, and what was met on the way."""

    def __init__(self, source: str, keep_optimiser: bool, understood: Callable[[object], object]) -> None:
        self.source = source
        self.keep_optimiser = keep_optimiser
        self.understood = understood
        self.skipped: list[str] = []
        self.optimiser: set[str] = set()
        self.kinds: dict[tuple[str, ...], int] = {}
        self.lengths: dict[tuple[str, ...], int] = {}
        self.nodes = 0

    def skip(self, name: str, what: str) -> None:
        """Add a line on something that is left out."""
        self.skipped.append(_one_line(f"{name}: {what}" if name else what))

    def lines(self) -> tuple[str, ...]:
        """What was left out; the last line has the number of those that are too many to be listed."""
        more = len(self.skipped) - _MOST_LINES
        return (*self.skipped[:_MOST_LINES], *([f"and {more:,} more that were left out"] if more > 0 else []))

    def containers(self, paths: Iterable[tuple[str, ...]], empty: Iterable[tuple[str, ...]]) -> dict[str, int]:
        """What `Checkpoint.containers` holds, for the leaves that were kept."""
        children: dict[tuple[str, ...], set[str]] = {}
        for keys in paths:
            for depth, key in enumerate(keys):
                children.setdefault(keys[:depth], set()).add(key)
        kinds = {keys: self.kinds[keys] for keys in children} | {keys: TEXT_KEYS for keys in empty if keys}
        for keys, length in self.lengths.items():
            # Where something of a list is left out, the others keep their numbers.
            if keys in kinds and len(children[keys]) < length:
                kinds[keys] = INTEGER_KEYS
        return {".".join(keys): kind for keys, kind in kinds.items() if keys or kind != TEXT_KEYS}

    def leaves(
        self, node: object, keys: tuple[str, ...], optimiser: bool = False
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield (keys, tensor, plain value or empty dict) in order; add a line to `skipped` for everything else."""
        name = ".".join(keys)
        node = self._seen(node)
        optimiser = optimiser or _is_optimiser_state(keys, node)
        if optimiser and not self.keep_optimiser:
            self.skip(name, "optimiser state")
        elif _is_tensor(node):
            if optimiser:
                self.optimiser.add(name)
            yield keys, node
        elif isinstance(node, Mapping) and len(keys) < _MOST_NESTING:
            yield from self._entries(node, keys, optimiser)
        elif isinstance(node, list | tuple) and len(keys) < _MOST_NESTING and self._has_inner(node):
            self.kinds[keys] = LIST if isinstance(node, list) else TUPLE
            self.lengths[keys] = len(node)
            for number, child in enumerate(node):
                yield from self.leaves(child, (*keys, str(number)), optimiser)
        else:
            try:
                yield keys, self._plain(node)
            except _NotPlainError:
                self.skip(name, node.what if isinstance(node, Unkept) else f"{_describe(node)}, not a tensor")

    def _entries(
        self, node: Mapping[Any, object], keys: tuple[str, ...], optimiser: bool
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        self._count(node)
        integers = len(node) > 0 and all(type(key) is int for key in node)
        self.kinds[keys] = INTEGER_KEYS if integers else TEXT_KEYS
        if not node and keys:
            yield keys, {}
        if not integers and any(not isinstance(key, str) for key in node):
            self.skip(".".join(keys), "keys that are no text became text")
        for key, child in node.items():
            if isinstance(key, Object) or not _is_text(str(key)):
                self.skip(".".join(keys), f"an entry whose key is {_describe(key)}, neither text nor a number")
            else:
                yield from self.leaves(child, (*keys, str(key)), optimiser)

    def _seen(self, node: object) -> Any:
        try:
            return self.understood(node)
        except InputError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.source}: damaged ({_one_line(error)})") from error

    def _count(self, node: Mapping[Any, object] | list[object] | tuple[object, ...]) -> None:
        self.nodes += 1 + len(node) // _ITEMS_A_NODE
        if self.nodes > _MOST_NODES:
            raise InputError(f"{self.source}: holds more than {_MOST_NODES:,} dicts and lists; expected fewer")

    def _has_inner(self, node: list[object] | tuple[object, ...]) -> bool:
        self._count(node)
        inner = map(self._seen, node)
        return any(_is_tensor(child) or isinstance(child, Mapping | list | tuple) for child in inner)

    def _plain(self, node: object, depth: int = 0) -> Value:
        """Numbers, short text and short lists of them: what a header can hold."""
        node = self._seen(node) if depth else node
        if isinstance(node, list | tuple):
            if depth > 1 or len(node) > _MOST_VALUE:
                raise _NotPlainError
            self._count(node)
            items = [self._plain(item, depth + 1) for item in node]
            if len(repr(items)) > _MOST_VALUE:
                raise _NotPlainError
            return items if isinstance(node, list) else tuple(items)
        if node is None or isinstance(node, bool):
            return node
        if isinstance(node, int) and node.bit_length() <= _MOST_BITS:
            return int(node)
        if isinstance(node, float):
            return float(node)
        if isinstance(node, str) and len(node) <= _MOST_VALUE and _is_text(node):
            return str.__str__(node)
        raise _NotPlainError


class _NotPlainError(Exception):
    pass


def _is_text(text: str) -> bool:
    """Whether a header can hold it: a string of Python may have half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_tensor(node: object) -> bool:
    """Arrays of numbers of any library (NumPy, torch, JAX); arrays of text are none."""
    if not (hasattr(node, "dtype") and hasattr(node, "shape")):
        return False
    return getattr(node.dtype, "kind", "f") not in "SUMmO"


def _is_optimiser_state(keys: tuple[str, ...], node: object) -> bool:
    if isinstance(node, Mapping) and {"state", "param_groups"} <= node.keys():
        return bool(keys)
    parts = [part for key in keys for part in key.split(".")]
    for part, after in zip(parts, [*parts[1:], None]):
        if _OPTIMISER_STATE.fullmatch(part) and not (after is None and _is_tensor(node)):
            return True
        if _OPTIMISER.fullmatch(part) and (after in ("state", "param_groups") or (after or "").isdecimal()):
            return True
        if after in _MOMENTS and (part == "state" or part.isdecimal()):
            return True
    return parts == ["param_groups"]


def _describe(node: object) -> str:
    if isinstance(node, Object | Global):
        return f"a Python object ({node.name})"
    if isinstance(node, bool | int | float | str):
        return f"{type(node).__name__} {quoted(node)}"
    return type(node).__name__


def _unfit(leaf: Any) -> str | None:
    """Why the format cannot hold a tensor, in words; None where it can."""
    if hasattr(leaf, "detach") and (leaf.is_quantized or leaf.is_meta or str(leaf.layout) != "torch.strided"):
        return "a tensor that is quantised, sparse or without data"
    dtype = str(getattr(leaf.dtype, "name", leaf.dtype)).removeprefix("torch.")
    return None if dtype in _DTYPE_NAMES else f"a tensor of {dtype}, which the format lacks"


def _to_array(source: str, name: str, leaf: Any) -> np.ndarray:
    """One tensor as a C-ordered, native-endian array."""
    try:
        array = leaf.read() if isinstance(leaf, Stored) else _from_torch(leaf) if hasattr(leaf, "detach") else leaf
    except Exception as error:  # of a damaged archive: BadZipFile, zlib.error, KeyError, ValueError, ...
        raise InputError(f"{source}: tensor {quoted(name)} is damaged ({_one_line(error)})") from error
    array = np.asarray(array)
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _from_torch(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if str(tensor.dtype) == "torch.bfloat16":
        import torch

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _one_line(error: object, length: int = 160) -> str:
    text = printable(str(error)) or type(error).__name__
    return text if len(text) <= length else text[: length - 3] + "..."


# -- back to a tree ------------------------------------------------------------------------------------------------


def nested(leaves: Mapping[str, object], containers: Mapping[str, int]) -> object:
    """The tree of the leaves, or the flat dict where the containers do not fit them."""
    try:
        root: dict[Any, Any] = {}
        empty: dict[str, object] = {name: {} for name in _empty(leaves, containers)}
        for name, leaf in {**leaves, **empty}.items():
            *outer, last = split(name, containers)
            if len(outer) > _MOST_NESTING:
                return dict(leaves)
            node, way = root, ""
            for depth, key in enumerate(outer):
                node = node.setdefault(_key(key, containers.get(way, TEXT_KEYS)), {})
                way = ".".join(outer[: depth + 1])
            innermost = _key(last, containers.get(way, TEXT_KEYS))
            if innermost in node:
                return dict(leaves)
            node[innermost] = leaf
        return _with_lists(root, "", containers)
    except (ValueError, AttributeError, TypeError):  # an integer that is none, a leaf where a dict should be
        return dict(leaves)


def _empty(leaves: Mapping[str, object], containers: Mapping[str, int]) -> list[str]:
    """The names of the dicts in which nothing is."""
    parents: set[str] = set()
    for name in (*leaves, *containers):
        outer = split(name, containers)[:-1]
        parents.update(".".join(outer[: depth + 1]) for depth in range(len(outer)))
    return [name for name, kind in containers.items() if name and kind == TEXT_KEYS and name not in parents]


def _with_lists(node: object, name: str, containers: Mapping[str, int]) -> object:
    if not isinstance(node, dict):
        return node
    children = {
        key: _with_lists(child, f"{name}.{key}" if name else str(key), containers) for key, child in node.items()
    }
    kind = containers.get(name)
    if kind not in (LIST, TUPLE):
        return children
    if set(children) != set(range(len(children))):
        raise ValueError("a list with gaps")
    items = [children[number] for number in range(len(children))]
    return items if kind == LIST else tuple(items)


def _key(key: str, kind: int) -> str | int:
    return key if kind == TEXT_KEYS else int(key)


def split(name: str, containers: Mapping[str, int]) -> list[str]:
    """The keys of a joined name: it is cut at each dot that ends a container's name."""
    keys, start = [], 0
    for i, character in enumerate(name):
        if character == "." and name[:i] in containers:
            keys.append(name[start:i])
            start = i + 1
    return [*keys, name[start:]]
