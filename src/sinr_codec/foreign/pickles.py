"""Pickles as data: what they say is read, and nothing of it is done.

A pickle is a program for a stack machine. Two of its instructions are dangerous: one imports what it names, the other
calls it. `load` has the stack of that machine, but neither instruction: an imported name becomes a `Global`, which is
text, and a call becomes an `Object`, which holds what was to be called and the arguments. So no pickle can run code:
there is nothing here that imports, calls, sets attributes or looks into `sys.modules` by a name from the file.
`pickletools` of the standard library disassembles; what is left for this module is lists, dicts and a memo.

Work and memory are bounded by the length of the pickle, shared values stay shared, and only text and numbers are
hashed: a nest of shared tuples would take for ever. Who walks the result must bound the walk, since a few bytes may be
a tree of any size, or one that contains itself.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, Final

RECONSTRUCTORS: Final = ("copyreg._reconstructor", "copy_reg._reconstructor")
"""What protocols before 2 call for the objects of most classes: with the class, its base and the value of the base."""

_MARK: Final = object()
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Final[dict[str, Callable[[], Any]]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}


@dataclass(frozen=True)
class Global:
    """A name that the pickle imports, such as "torch.FloatStorage"."""

    name: str


@dataclass(eq=False)
class Object:
    """A call that the pickle asks for, and what it puts into the result.

    Attributes
    ----------
    what
        What is called: a `Global`, where the pickle is not damaged.
    args
        Its arguments.
    state
        What the result's `__setstate__` would get; None for nothing.
    items, entries
        What is appended to the result, and the items that are set in it.
    """

    what: object
    args: tuple[object, ...]
    state: object = None
    items: list[object] = field(default_factory=list)
    entries: dict[object, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of what is called, or of the class that it makes."""
        if isinstance(self.what, Global) and self.what.name in RECONSTRUCTORS and self.args:
            made = self.args[0]
            return made.name if isinstance(made, Global) else type(made).__name__
        return self.what.name if isinstance(self.what, Global) else type(self.what).__name__


def load(file: IO[bytes], persistent: Callable[[object], object]) -> object:
    """The value of the pickle at the position of a file, which is behind the pickle afterwards.

    `persistent` gives the values that are kept outside the pickle, by their id in it.

    Raises
    ------
    ValueError
        Damaged; so do IndexError, KeyError, TypeError and other errors of damaged data.
    """
    machine = _Machine(persistent)
    for opcode, arg, _ in pickletools.genops(file):
        machine.step(opcode.name, arg)
    return machine.pop()


class _Machine:
    def __init__(self, persistent: Callable[[object], object]) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.persistent = persistent

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark instead of a value")
        return value

    def pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def step(self, name: str, arg: Any) -> None:
        """Do one instruction."""
        push = self.stack.append
        if name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_EMPTY[name]())
        elif name == "MARK":
            push(_MARK)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else arg] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self.memo[arg])
        elif name in ("GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            push(self._global(name, arg))
        elif name in ("PERSID", "BINPERSID"):
            push(self.persistent(arg if name == "PERSID" else self.pop()))
        elif name in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS", "BUILD"):
            self._fill(name)
        elif name in ("DUP", "POP", "POP_MARK"):
            self._drop_or_double(name)
        elif name not in ("PROTO", "FRAME", "STOP"):
            push(self._made(name, arg))

    def _global(self, name: str, arg: Any) -> Global:
        if name == "GLOBAL":
            return Global(".".join(arg.split(" ", 1)))
        if name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            return Global(f"{module:s}.{attribute:s}")
        return Global(f"extension {arg}")

    def _drop_or_double(self, name: str) -> None:
        if name == "DUP":
            self.stack.append(self.stack[-1])
        elif name == "POP":
            self.stack.pop()
        else:
            self.pop_to_mark()

    def _made(self, name: str, arg: Any) -> object:
        """The new value that an instruction makes of its argument and of the stack."""
        if name in ("TUPLE", "LIST"):
            return (tuple if name == "TUPLE" else list)(self.pop_to_mark())
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            return tuple([self.pop() for _ in range(int(name[-1]))][::-1])
        if name == "DICT":
            entries: dict[object, object] = {}
            _set_items(entries, self.pop_to_mark())
            return entries
        if name == "EMPTY_SET":
            return Object(Global("builtins.set"), ())
        if name == "FROZENSET":
            return Object(Global("builtins.frozenset"), (self.pop_to_mark(),))
        if name in ("REDUCE", "NEWOBJ"):
            args, what = self.pop(), self.pop()
            return Object(what, _tuple(args))
        if name == "NEWOBJ_EX":
            _, args, what = self.pop(), self.pop(), self.pop()
            return Object(what, _tuple(args))
        if name == "INST":
            return Object(self._global("GLOBAL", arg), tuple(self.pop_to_mark()))
        if name == "OBJ":
            what, *args = self.pop_to_mark()
            return Object(what, tuple(args))
        if isinstance(arg, bool | int | float | str | bytes | bytearray):
            return arg
        raise ValueError(f"unexpected instruction {name}")

    def _fill(self, name: str) -> None:
        """Put values into the list, dict or object below them on the stack."""
        values = [self.pop()] if name in ("APPEND", "BUILD") else []
        if name == "SETITEM":
            value, key = self.pop(), self.pop()
            values = [key, value]
        elif name in ("APPENDS", "ADDITEMS", "SETITEMS"):
            values = self.pop_to_mark()
        target = self.stack[-1]
        if name == "BUILD":
            # A dict may have attributes, as the state dicts of PyTorch have: `_metadata` is not kept.
            if isinstance(target, Object):
                target.state = values[0]
        elif name.startswith("SETITEM"):
            _set_items(target.entries if isinstance(target, Object) else target, values)
        else:
            (target.items if isinstance(target, Object) else target).extend(values)


def _tuple(args: object) -> tuple[object, ...]:
    if not isinstance(args, tuple):
        raise ValueError("a call without arguments")
    return args


def _set_items(target: dict[object, object], values: list[object]) -> None:
    if not isinstance(target, dict) or len(values) % 2:
        raise ValueError("keys without values, or no dict to set them in")
    for key, value in zip(values[::2], values[1::2]):
        # Other keys, such as tuples, count as themselves: hashing them could take for ever.
        target[key if key is None or isinstance(key, bool | int | float | str | bytes) else Object(key, ())] = value
