"""Kernels compiled by numba once, kept as object code, and loaded without numba ever after.

Importing numba and preparing it for its first cached function takes 0.5 s and 100 MB, ten times
what the kernels themselves take. So a kernel's machine code is kept in a file of our own and
linked by llvmlite, the part of numba that does only that. numba is imported when there is no file
for this program, numba, Python and CPU: at the first start ever, or after an update.

A kernel is a plain function under `kernel`, with a numba signature; functions it calls stand under
`inline`. It must not allocate, raise or call back into Python, because the runtime that would serve
this is not there: arrays it works in are passed to it. `_compile` refuses a kernel that does.

After a kernel the process gives way to whoever waits for its core. Niceness alone is not enough:
who has slept may run to the next tick, some 4 ms, in which a whole utterance is done, while a voice
that is being spoken waits. Where nobody waits, giving way costs less than a microsecond.

Calling: numba's native convention, ``status = f(result*, exception**, arguments...)``, an array
being (memory, parent, items, item size, data, shape..., strides...). Types and layout of arrays are
checked at each call, since nothing else would notice a wrong one.
"""

import ctypes
import hashlib
import inspect
import logging
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from plugins.waves.kernels import cache

logger = logging.getLogger(__name__)

_C_TYPES: dict[str, type[Any]] = {
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float64": ctypes.c_double,
}
_MATH = ("log2",)
"""Functions of the C library that kernels may call."""
_UNUSED = ("NRT_MemInfo_call_dtor", "NRT_incref", "NRT_decref", "NRT_MemInfo_release")
"""Parts of numba's runtime that are referred to and never reached without its memory."""


def give_way() -> None:
    """Let others who wait for this core go first, where the system has a call for that."""
    if sys.platform != "win32":
        os.sched_yield()


@dataclass
class Kernel:
    """A compiled function; loads or compiles all kernels of its module at the first call."""

    function: Callable[..., Any]
    signature: str
    fastmath: frozenset[str]
    native: Callable[..., Any] | None = None
    _arguments: list[tuple[np.dtype[Any] | None, int]] = field(default_factory=list)

    def __call__(self, *args: Any) -> Any:
        """Run the kernel, then give way."""
        if self.native is None:
            load(self.function.__module__)
        result = self.native(*args)  # type: ignore[misc]  # bound by load()
        give_way()
        return result

    def parameter_types(self) -> list[str]:
        """Return the types of the parameters as the signature has them."""
        inner = self.signature[self.signature.index("(") + 1 : self.signature.rindex(")")]
        types, depth = [""], 0
        for character in inner:
            depth += (character == "[") - (character == "]")
            if character == "," and depth == 0:
                types.append("")
            else:
                types[-1] += character
        return [name.strip() for name in types]

    def bind(self, address: int) -> None:
        """Make the machine code at `address` callable."""
        kind = self.signature[: self.signature.index("(")]
        result_type = _C_TYPES.get(kind)
        c_types: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
        self._arguments = []
        for name in self.parameter_types():
            if "[" in name:
                base, dims = name.rstrip("]").split("[")
                ndim = dims.count(",") + 1
                self._arguments.append((np.dtype(base.replace("boolean", "bool")), ndim))
                c_types += [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
                c_types += [ctypes.c_int64] * (2 * ndim)
            else:
                self._arguments.append((None, 0))
                c_types.append(_C_TYPES[name])
        code = ctypes.CFUNCTYPE(ctypes.c_int32, *c_types)(address)

        def call(*args: Any) -> Any:
            result = result_type() if result_type is not None else ctypes.c_int64()
            exception = ctypes.c_void_p()
            status = code(
                ctypes.addressof(result), ctypes.addressof(exception), *self._flatten(args)
            )
            if status != 0:
                raise RuntimeError(f"kernel {self.function.__name__} failed with status {status}")
            return result.value if result_type is not None else None

        self.native = call

    def _flatten(self, args: tuple[Any, ...]) -> list[Any]:
        """Check the arguments and lay them out as the machine code takes them."""
        if len(args) != len(self._arguments):
            raise TypeError(
                f"{self.function.__name__} takes {len(self._arguments)} arguments, not {len(args)}"
            )
        flat: list[Any] = []
        for (dtype, ndim), value in zip(self._arguments, args, strict=True):
            if dtype is None:
                flat.append(value)
                continue
            if value.dtype != dtype or value.ndim != ndim or not value.flags.c_contiguous:
                raise TypeError(
                    f"{self.function.__name__} takes a contiguous array of {dtype} with {ndim} "
                    f"axes, not of {value.dtype} with {value.ndim}, strides {value.strides}"
                )
            data = value.__array_interface__["data"][0]
            flat += (None, None, value.size, value.itemsize, data, *value.shape, *value.strides)
        return flat


_kernels: dict[str, list[Kernel]] = {}
_inlined: dict[str, list[tuple[Callable[..., Any], frozenset[str]]]] = {}
_engines: list[Any] = []
"""Owners of loaded machine code; it must outlive every call."""


def kernel(signature: str, *, fastmath: frozenset[str] = frozenset()) -> Callable[[Any], Kernel]:
    """Declare a function as a kernel of its module.

    Parameters
    ----------
    signature : str
        numba's, of int64, uint64, float64 and C-contiguous arrays; int64, float64 or void returned.
    fastmath : frozenset of str
        Freedoms of LLVM in floating point, by name.
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        declared = Kernel(function, signature, fastmath)
        _kernels.setdefault(function.__module__, []).append(declared)
        return declared

    return declare


def inline(*, fastmath: frozenset[str] = frozenset()) -> Callable[[Any], Any]:
    """Declare a function as a part of its module's kernels."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        _inlined.setdefault(function.__module__, []).append((function, fastmath))
        return function

    return declare


def load(module: str) -> None:
    """Load the kernels of `module`, compiling them first if there is no object code for them."""
    kernels = _kernels[module]
    path = _path(module)
    code = None if path is None else cache.read(path)
    if code is None:
        name = module.rpartition(".")[2]
        logger.info("compiling the kernels of %s: once on this machine, a few seconds", name)
        compiled = _compile(module)
        code = pickle.dumps(compiled)
        if path is not None:
            cache.write(path, code)
    _link(kernels, pickle.loads(code))  # noqa: S301  # our own file, with a checksum


def _path(module: str) -> Path | None:
    """Return the file of a module's object code; its name changes with the module's source."""
    directory = cache.directory()
    if directory is None:
        return None
    source = inspect.getsource(sys.modules[module]) + inspect.getsource(sys.modules[__name__])
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return directory / f"{module.rpartition('.')[2]}-{digest}.kernels"


def _compile(module: str) -> dict[str, tuple[str, bytes]]:
    """Compile the kernels of `module` to (symbol, object code) by name."""
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    # Only a first start needs numba.
    njit: Any = import_module("numba").njit
    compiler: Any = import_module("numba.core.compiler")
    options: Any = import_module("numba.core.cpu_options")
    normalize_signature: Any = import_module("numba.core.sigutils").normalize_signature
    cpu_target: Any = import_module("numba.core.registry").cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()

    namespace = vars(sys.modules[module])
    for function, fastmath in _inlined.get(module, []):
        namespace[function.__name__] = njit(error_model="numpy", fastmath=set(fastmath))(function)
    compiled = {}
    for declared in _kernels[module]:
        function = declared.function
        arguments, returned = normalize_signature(declared.signature)
        flags = compiler.Flags()
        flags.nrt = True
        flags.error_model = "numpy"
        flags.fastmath = options.FastMathOptions(set(declared.fastmath))
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        result = compiler.compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            function,
            arguments,
            returned,
            flags,
            {},
        )
        final = result.library._final_module
        foreign = {
            f.name for f in final.functions if f.is_declaration and not f.name.startswith("llvm.")
        } - {*_MATH, *_UNUSED}
        if foreign:
            raise RuntimeError(f"kernel {function.__name__} needs {sorted(foreign)}")
        code = result.library._codegen._tm.emit_object(final)
        compiled[function.__name__] = (result.fndesc.llvm_func_name, code)
    return compiled


def _link(kernels: list[Kernel], compiled: dict[str, tuple[str, bytes]]) -> None:
    """Link object code into this process and bind the kernels to it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    c_library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    for name in _MATH:
        llvm.add_symbol(name, ctypes.cast(getattr(c_library, name), ctypes.c_void_p).value)
    for name in _UNUSED:
        llvm.add_symbol(name, ctypes.cast(c_library.abort, ctypes.c_void_p).value)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for _, code in compiled.values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    for declared in kernels:
        declared.bind(engine.get_function_address(compiled[declared.function.__name__][0]))
