"""Decorators for compiled code: kernels, functions that are linked into kernels, and structs with compiled methods.

``kernel``
    decorates a compiled loop.  It releases the GIL and is cached on disk.  With ``NUMBA_DISABLE_JIT=1`` it stays plain Python.
``linked``
    decorates a function that only kernels call; see `linking.py`.
``struct``
    decorates a NamedTuple of scalars (a loss, a penalty, an update rule) or of arrays (rows of X).  Kernels call its
    methods, which LLVM inlines.  Numba compiles and caches a separate version of a kernel for each struct.
"""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils, event
from numba.extending import intrinsic, overload, overload_method

from .cache import CACHE_FOLDER, Cache
from .linking import LinkedCompiler, LinkedFunction

# The flags nnan and ninf are left out, because values that are not finite have to be kept until they are detected.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
# Without reassoc, for sums whose order matters, and for the short dot products of sparse rows, which LLVM would otherwise
# compile to slow vector gathers.
ORDERED = FASTMATH - {"reassoc"}
# The same options for all compiled functions, so that Numba compiles a callee only once.  Nobody uses kernels as C callbacks.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
DISABLE_JIT = bool(getattr(numba.config, "DISABLE_JIT", False))


def kernel(function: Callable | None = None, *, fastmath: set[str] = FASTMATH) -> Callable:
    """Compile a loop without the GIL and with NumPy's rules for division; cache it in `CACHE_FOLDER` if there is one."""
    if function is None:
        return lambda function: kernel(function, fastmath=fastmath)
    compiled: Any = numba.njit(fastmath=fastmath, **OPTIONS)(function)
    if CACHE_FOLDER is not None and compiled is not function:  # they are the same with NUMBA_DISABLE_JIT=1
        compiled._cache = Cache(function)
    return compiled


def linked(function: Callable | None = None, *, fastmath: set[str] = FASTMATH) -> Callable:
    """Compile a function that only kernels call; see `linking.py`."""
    if function is None:
        return lambda function: linked(function, fastmath=fastmath)
    return function if DISABLE_JIT else LinkedFunction(function, {"fastmath": fastmath, **OPTIONS})


@contextmanager
def interruptible() -> Iterator[None]:
    """A context for calls of kernels that raises the exceptions of signal handlers.

    If a signal handler raises an exception while a kernel runs, Numba raises a SystemError whose cause is the exception.
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from None


class _Patience(event.Listener):
    """Delays Ctrl-C while the main thread compiles, because LLVM's callbacks would swallow it and spoil the kernel."""

    def __init__(self) -> None:
        self.depth = 0  # the depth of nested compilations, when a kernel needs another one
        self.handler: Any = None
        self.waiting: list[tuple[Any, ...]] = []

    def on_start(self, event: Any) -> None:
        if threading.current_thread() is threading.main_thread() and _is_ours(event):
            self.depth += 1
            if self.depth == 1 and callable(signal.getsignal(signal.SIGINT)):
                self.handler = signal.signal(signal.SIGINT, lambda *arguments: self.waiting.append(arguments))

    def on_end(self, event: Any) -> None:
        if threading.current_thread() is threading.main_thread() and _is_ours(event):
            self.depth -= 1
            if self.depth == 0 and self.handler is not None:
                handler, self.handler = self.handler, None
                signal.signal(signal.SIGINT, handler)
                if self.waiting:
                    arguments, self.waiting = self.waiting[0], []
                    handler(*arguments)


def _is_ours(event: Any) -> bool:
    module = event.data["dispatcher"].py_func.__module__  # None if Numba made the function, as the constructor of a jitclass
    return module is not None and module.startswith("skgd.")


event.register("numba:compile", _Patience())


def struct(cls: Any) -> Any:
    """Let kernels call the methods of a NamedTuple class, for example ``loss.derivative(y, z)``.

    The class needs at least one field, because Numba does not look up methods of empty tuples.  Methods with the same name
    need the same parameters in all structs.
    """
    cls.is_struct = True
    for name, method in vars(cls).items():
        if inspect.isfunction(method) and not name.startswith("_") and name not in _registered_methods():
            _registered_methods().add(name)
            _register(name, inspect.signature(method))
    return cls


def _registered_methods() -> set[str]:
    """The names of registered methods, stored in a module of Numba so that a second import does not register them again."""
    return vars(numba.extending).setdefault("_skgd_methods", set())


def _register(name: str, signature: inspect.Signature) -> None:
    def resolve(self, *args):
        return getattr(self.instance_class, name) if getattr(self.instance_class, "is_struct", False) else None

    resolve.__signature__ = signature  # type: ignore[attr-defined]  # Numba compares it with the method's
    options: dict[str, Any] = {"jit_options": {"fastmath": FASTMATH, "pipeline_class": LinkedCompiler, **OPTIONS}}
    overload_method(types.BaseNamedTuple, name, **options)(resolve)


def writable(array: np.ndarray) -> np.ndarray:
    """A view of the same memory that is marked as writable, although no kernel writes to it.

    For Numba, read-only arrays such as memory maps have another type, for which every kernel would be compiled again.
    """
    return array if array.flags.writeable else np.asarray(_Memory(array))


class _Memory:
    """Exposes the memory of an array, which it keeps alive, without its read-only flag."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def exp2(k):
    """2.0**k for a float k with an integer value, |k| < 1023.  Compiled code sets the bits, so that loops vectorise."""
    return 2.0**k


@intrinsic
def _exp2_bits(context, k):
    from llvmlite import ir

    def codegen(context, builder, signature, args):
        # AVX2 cannot convert floats to 64-bit integers.  Instead, the last bits of this sum are k (modulo 2^51).
        bits = builder.bitcast(builder.fadd(args[0], ir.Constant(args[0].type, 1.5 * 2**52)), ir.IntType(64))
        biased = builder.add(bits, ir.Constant(bits.type, 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(bits.type, 52)), args[0].type)

    return types.float64(types.float64), codegen


@overload(exp2, inline="always")
def _(k):
    return lambda k: _exp2_bits(k)


def prefetch(array, index):
    """Ask the processor to bring the entry of an array at this index, a tuple, and its neighbours into the second cache."""


@intrinsic
def _prefetch(context, array, index):
    from llvmlite import ir

    def codegen(context, builder, signature, args):
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        values = context.make_array(signature.args[0])(context, builder, args[0])
        entry = cgutils.get_item_pointer(context, builder, signature.args[0], values, cgutils.unpack_tuple(builder, args[1]))
        instruction = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, instruction, "llvm.prefetch.p0")
        # The constants say: to read it, into the second cache (the first one has too few places for misses), and data.
        builder.call(function, [builder.bitcast(entry, byte), number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), codegen


@overload(prefetch, inline="always")
def _(array, index):
    return lambda array, index: _prefetch(array, index)
