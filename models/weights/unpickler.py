"""Interprets the pickles inside PyTorch files without unpickling them: a security boundary.

A pickle is a program for a stack machine whose instructions can call any function there is. This
module runs that program on a machine that cannot: it knows the instructions that build plain
values (numbers, strings, lists, tuples, dicts), and where PyTorch's pickles name a class or call a
function, an exact list of names (`GLOBALS`) says which *record* is made instead. Nothing is
imported, nothing is called, and `pickle` is not used; instructions are decoded by `pickletools`,
which is a disassembler. Everything else raises.

Refused besides: programs longer than 4 MB (a state dict takes a few kilobytes), dict keys that are
not strings, bytes or integers (hashing nested tuples takes exponential time), and any value in a
place where PyTorch does not put it.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NoReturn

__all__ = ["GLOBALS", "MAX_PICKLE_BYTES", "PickleError", "Storage", "Tensor", "interpret"]

MAX_PICKLE_BYTES = 4 * 2**20

DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "|u1",
    "CharStorage": "|i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "BoolStorage": "|b1",
}


class PickleError(Exception):
    """A pickle that is damaged, or that does what weights files do not."""


@dataclass(frozen=True)
class Global:
    """A name of the closed list, as found in a pickle."""

    module: str
    name: str


@dataclass(frozen=True)
class Storage:
    """A block of numbers elsewhere in the file.

    Parameters
    ----------
    dtype : str
        NumPy's name of the element type, or ``bfloat16``.
    key : str
        Which block.
    count : int
        Number of elements.
    """

    dtype: str
    key: str
    count: int


@dataclass
class Tensor:
    """A view of a storage, as the file describes it: nothing of it is checked yet.

    Parameters
    ----------
    storage : Storage or None
        None until a BUILD instruction fills a tensor of the oldest kind.
    offset : int
        First element.
    shape, stride : tuple of int
        In elements.
    """

    storage: Storage | None = None
    offset: int = 0
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()

    def fill(self, storage: Any, offset: Any, shape: Any, stride: Any, *_rest: Any) -> Tensor:
        """Set everything, if each part is of its type."""
        if not isinstance(storage, Storage) or not _is_count(offset):
            raise PickleError("a tensor is built on something that is no storage")
        for dims in (shape, stride):
            if not isinstance(dims, tuple) or not all(_is_count(d) for d in dims):
                raise PickleError("a tensor has dimensions that are not non-negative integers")
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride
        return self


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _ordered_dict(*items: Any) -> dict[Any, Any]:
    if items:
        raise PickleError("an OrderedDict is made from arguments")
    return {}


def _parameter(data: Any, *_rest: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise PickleError("a parameter is made of something that is no tensor")
    return data


def _size(dims: Any = (), *_rest: Any) -> tuple[Any, ...]:
    return tuple(dims) if isinstance(dims, tuple | list) else ()


_TENSOR_KINDS = ("Float", "Double", "Half", "Byte", "Char", "Short", "Int", "Long")

GLOBALS: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): lambda *a: Tensor().fill(*a),
    ("torch._utils", "_rebuild_tensor_v2"): lambda *a: Tensor().fill(*a),
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    **{("torch", name): None for name in DTYPES},
    **{("torch.cuda", name): None for name in DTYPES},
    **{("torch", f"{kind}Tensor"): lambda: Tensor() for kind in _TENSOR_KINDS},
    **{("torch.cuda", f"{kind}Tensor"): lambda: Tensor() for kind in _TENSOR_KINDS},
}
"""The names a pickle may use, and the function of this module that stands for each.

None marks names that are only mentioned, never called: the storage types.
"""


def interpret(stream: BytesIO) -> Any:
    """Interpret one pickle and leave `stream` behind it.

    Parameters
    ----------
    stream : BytesIO
        The pickle, and what follows it.

    Returns
    -------
    object
        Plain values, with :class:`Tensor` where the pickle has tensors.

    Raises
    ------
    PickleError
        If it is damaged or does anything that weights files do not.
    """
    machine = _Machine()
    limit = stream.tell() + MAX_PICKLE_BYTES
    try:
        # A text with an escape that Python does not know is a mere warning to `pickletools`, but
        # no pickler writes one.
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            for opcode, argument, _position in pickletools.genops(stream):
                if opcode.name == "STOP" or stream.tell() > limit:
                    break
                machine.step(opcode.name, argument)
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        DeprecationWarning,
    ) as error:
        raise PickleError(f"the pickle is damaged ({error})") from error
    if stream.tell() > limit:
        raise PickleError(f"the pickle is longer than {MAX_PICKLE_BYTES} bytes")
    return machine.result()


_MARK = object()

_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_UNICODE = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_VALUES = _NUMBERS | _TEXTS | _UNICODE
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}


class _Machine:
    """The stack and the memo, and what each instruction does to them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise PickleError("the pickle ends with something left over")
        return self.stack[0]

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        else:
            method = getattr(self, f"_op_{name.lower()}", None)
            if method is None:
                raise PickleError(
                    f"it uses the instruction {name}, which weights files do not need"
                )
            method(argument)

    def _pop(self) -> Any:
        value = self.stack.pop()
        return _misplaced("a mark") if value is _MARK else value

    def _pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise PickleError("a mark is missing")

    # Instructions without effect here.

    def _op_proto(self, _argument: Any) -> None: ...

    def _op_frame(self, _argument: Any) -> None: ...

    # Memo.

    def _op_put(self, index: int) -> None:
        if self.stack[-1] is _MARK:
            _misplaced("a mark")
        self.memo[index] = self.stack[-1]

    _op_binput = _op_long_binput = _op_put

    def _op_memoize(self, _argument: Any) -> None:
        self._op_put(len(self.memo))

    def _op_get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _op_binget = _op_long_binget = _op_get

    # Containers.

    def _op_pop(self, _argument: Any) -> None:
        self.stack.pop()

    def _op_pop_mark(self, _argument: Any) -> None:
        self._pop_to_mark()

    def _op_tuple(self, _argument: Any) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _tuple_of(self, count: int) -> None:
        self.stack.append(tuple(reversed([self._pop() for _ in range(count)])))

    def _op_tuple1(self, _argument: Any) -> None:
        self._tuple_of(1)

    def _op_tuple2(self, _argument: Any) -> None:
        self._tuple_of(2)

    def _op_tuple3(self, _argument: Any) -> None:
        self._tuple_of(3)

    def _op_list(self, _argument: Any) -> None:
        self.stack.append(self._pop_to_mark())

    def _op_append(self, _argument: Any) -> None:
        self._extend([self._pop()])

    def _op_appends(self, _argument: Any) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            _misplaced("an item")
        self.stack[-1].extend(items)

    def _op_dict(self, _argument: Any) -> None:
        items = self._pop_to_mark()
        self.stack.append({})
        self._update(items)

    def _op_setitem(self, _argument: Any) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def _op_setitems(self, _argument: Any) -> None:
        self._update(self._pop_to_mark())

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            _misplaced("an entry")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes | int):
                _misplaced(f"a key of type {type(key).__name__}")
            self.stack[-1][key] = value

    # What a real unpickler would import and call.

    def _op_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._push_global(module, name)

    def _op_stack_global(self, _argument: Any) -> None:
        name, module = self._pop(), self._pop()
        self._push_global(module, name)

    def _push_global(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str) and (module, name) in GLOBALS):
            raise PickleError(
                f"it asks for {module!s:.80}.{name!s:.80}, which is not on the list of what "
                "weights files need; a file that does so may run code"
            )
        self.stack.append(Global(module, name))

    def _op_reduce(self, _argument: Any) -> None:
        arguments, function = self._pop(), self._pop()
        stand_in = GLOBALS[function.module, function.name] if isinstance(function, Global) else None
        if stand_in is None or not isinstance(arguments, tuple):
            raise PickleError("it calls something that is no function of the list")
        self.stack.append(stand_in(*arguments))

    def _op_build(self, _argument: Any) -> None:
        state, target = self._pop(), self.stack[-1]
        if isinstance(target, Tensor) and isinstance(state, tuple):
            target.fill(*state)
        elif not (isinstance(target, dict) and isinstance(state, dict)):
            _misplaced("a state")  # that of a dict is its `_metadata`, which is not needed

    def _op_binpersid(self, _argument: Any) -> None:
        described = self._pop()
        if not (isinstance(described, tuple) and len(described) >= 5):
            _misplaced("a reference")
        tag, kind, key, _location, count = described[:5]
        if not (
            tag in ("storage", b"storage")
            and isinstance(kind, Global)
            and kind.name in DTYPES
            and isinstance(key, str | bytes | int)
            and _is_count(count)
            and not any(described[5:])
        ):
            _misplaced("a reference")
        text = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
        self.stack.append(Storage(DTYPES[kind.name], text, count))


def _misplaced(what: str) -> NoReturn:
    raise PickleError(f"{what} stands where weights files have none")
