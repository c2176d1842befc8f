"""Numba's machine code without numba: loaded in a few milliseconds where numba itself takes half a second.

Why not numba's own cache (`cache=True`): it needs `import numba` in every process that merges, which takes 0.42 to
0.53 s (five times, 2 cores, other work running) before any function is loaded; a start-up may not suffer by 0.3 s.

    @compiled(fastmath=("contract",))
    def add(rows: NDArray[np.float32], out: NDArray[np.float32]) -> None: ...

Each combination of argument types is compiled once a machine and kept in `__pycache__` (or in the user's cache where
that cannot be written), named by its source, the processor and the compiler. Such functions take C-contiguous arrays
and numbers, return nothing or a bool, allocate nothing, raise nothing, and run without the interpreter's lock. They
may call what is marked `inner`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
_SCALARS: dict[type, tuple[str, Any]] = {
    bool: ("boolean", ctypes.c_uint8),
    int: ("int64", ctypes.c_int64),
    np.uint64: ("uint64", ctypes.c_uint64),
    np.float32: ("float32", ctypes.c_float),
}
_lock = threading.RLock()
_inner: list[Callable[..., Any]] = []


def inner(function: Function) -> Function:
    """A function that compiled ones call."""
    _inner.append(function)
    return function


def compiled(fastmath: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """`fastmath`: what the compiler may do to floating point, by LLVM's names."""

    def decorate(function: Function) -> Function:
        loaded: dict[tuple[Any, ...], Callable[..., bool]] = {}

        @wraps(function)
        def call(*arguments: Any) -> bool:
            kinds = tuple([(a.dtype, a.ndim) if isinstance(a, np.ndarray) else type(a) for a in arguments])
            native = loaded.get(kinds)
            if native is None:
                with _lock:
                    native = loaded[kinds] = _native(function, fastmath, kinds)
            return native(arguments)

        return call  # type: ignore[return-value]

    return decorate


def _native(function: Callable[..., Any], fastmath: tuple[str, ...], kinds: tuple[Any, ...]) -> Callable[..., bool]:
    """The machine code as a function of a tuple of arguments, in numba's calling convention: a pointer for the result,
    one for an exception, then each argument; an array as (owner, parent, size, item size, data, shape, strides)."""
    result = {"bool": "boolean", "None": "void"}[function.__annotations__["return"]]
    signature = f"{result}({','.join(_type(kind) for kind in kinds)})"
    address = _address(function, fastmath, signature)
    types: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
    for kind in kinds:
        types += [ctypes.c_int64] * (5 + 2 * kind[1]) if isinstance(kind, tuple) else [_SCALARS[kind][1]]
    entry = ctypes.CFUNCTYPE(ctypes.c_int32, *types)(address)

    def call(arguments: tuple[Any, ...]) -> bool:
        given: list[Any] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                data = argument.__array_interface__["data"][0]
                given += (0, 0, argument.size, argument.itemsize, data, *argument.shape, *argument.strides)
                if not argument.flags.c_contiguous:
                    raise TypeError(f"{function.__name__} takes contiguous arrays")
            else:
                given.append(argument)
        found, raised = ctypes.c_int64(0), ctypes.c_int64(0)
        entry(ctypes.addressof(found), ctypes.addressof(raised), *given)
        return bool(found.value & 1)

    return call


def _type(kind: Any) -> str:
    if isinstance(kind, tuple):
        return f"{kind[0].name}[{':,' * (kind[1] - 1)}::1]"
    return _SCALARS[kind][0]


def _address(function: Callable[..., Any], fastmath: tuple[str, ...], signature: str) -> int:
    """Load the function into this process, compiling it if nobody has yet."""
    import llvmlite.binding as llvm

    source = Path(function.__code__.co_filename)
    parts = [source.read_bytes(), Path(__file__).read_bytes(), *(text.encode() for text in _machine())]
    digest = hashlib.sha256(b"\0".join([*parts, signature.encode()])).hexdigest()[:24]
    name = f"{source.stem}.{function.__name__}-{digest}.native"
    for folder in _folders(source):
        with contextlib.suppress(OSError):
            code = (folder / name).read_bytes()
            break
    else:
        code = _compile(function, fastmath, signature)
        _keep(source, name, code)
    symbol, _, held = code.partition(b"\n")
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(held))
    engine.finalize_object()
    return int(engine.get_function_address(symbol.decode()))


def _compile(function: Callable[..., Any], fastmath: tuple[str, ...], signature: str) -> bytes:
    """The symbol's name, a new line, an object file."""
    import llvmlite.binding as llvm
    import numba
    from numba.extending import register_jitable

    while _inner:
        register_jitable(_inner.pop())
    options = {"_nrt": False, "error_model": "numpy", "fastmath": set(fastmath)}
    made = numba.cfunc(signature, **options)(function)
    module = llvm.parse_assembly(made.inspect_llvm())
    # numba's own wrapper for C calls into numba; nothing here calls it.
    module.get_function(made.native_name).linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_target(), llvm.create_pipeline_tuning_options()))
    outside = [each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.")]
    if outside:
        raise TypeError(f"{function.__name__} calls {', '.join(outside)}: only what is compiled with it may be called")
    code: bytes = _target().emit_object(module)
    return str(made.native_name).removeprefix("cfunc.").encode() + b"\n" + code


def _folders(source: Path) -> Iterator[Path]:
    yield source.parent / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "collegium"


def _keep(source: Path, name: str, code: bytes) -> None:
    """Store it where that is possible; else the next process compiles again."""
    for folder in _folders(source):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{name}.{os.getpid()}"
            part.write_bytes(code)
            part.replace(folder / name)
            return


@cache
def _machine() -> tuple[str, ...]:
    """What machine code depends on beside its source."""
    import llvmlite
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@cache
def _target() -> Any:
    import llvmlite.binding as llvm

    _, cpu, features = _machine()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="default", codemodel="jitdefault")


@cache
def _engine() -> Any:
    import llvmlite.binding as llvm

    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
