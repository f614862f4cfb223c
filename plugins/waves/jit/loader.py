"""Kernels: compiled once on each machine, kept as object code, and called without numba.

    build.py, a developer      Python --numba--> bitcode, in `bitcode/` and in the package
    here, once a machine       bitcode --LLVM--> object code for this CPU, in the cache
    here, every process        object code --linked--> functions

The first step takes ten times as long as the others, and its result is the same for every 64-bit
machine. llvmlite does the other two. Without a cache that can be written, each process compiles in
memory. Where llvmlite fails or the source of a kernel has changed, `load` raises an error.

A kernel is a plain function under `kernel`, with a numba signature; functions it calls stand under
`inline`. It must not allocate, raise or call Python, since numba's runtime is not there: arrays for
its intermediate results are passed to it. `build` refuses a kernel that does.

After a kernel the process yields its core. Niceness alone is not enough: a process that has slept
may run to the next tick, some 4 ms, in which a whole utterance is decomposed, while a process of
higher priority waits. If none waits, yielding takes less than a microsecond.

Calls follow numba's native convention, ``status = f(result*, exception**, arguments...)``; an array
is (memory, parent, items, item size, data, shape..., strides...). Types and layout of arrays are
checked at each call, since nothing else detects a wrong one.
"""

import ctypes
import mmap
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.waves.errors import KernelError
from plugins.waves.jit import cache

if TYPE_CHECKING:
    import numpy as np

_C_TYPES: dict[str, type[Any]] = {
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float64": ctypes.c_double,
}
MATH = ("log2", "floor", "rint", "sqrt")
"""Functions of the C library that kernels may call; some CPUs have instructions for the others."""


def yield_cpu() -> None:
    """Let other processes that wait for this core run, where the system has a call for that."""
    if sys.platform != "win32":
        os.sched_yield()


@dataclass
class Kernel:
    """A compiled function; loads or compiles all kernels of its module at the first call."""

    function: Callable[..., Any]
    signature: str
    fastmath: frozenset[str]
    native: Callable[..., Any] | None = None
    _arguments: list[tuple["np.dtype[Any] | None", int]] = field(default_factory=list)

    def __call__(self, *args: Any) -> Any:
        """Run the kernel, then yield the core."""
        if self.native is None:
            load(self.function.__module__)
        result = self.native(*args)  # type: ignore[misc]  # bound by load()
        yield_cpu()
        return result

    def announce(self, say: Callable[[str], None]) -> None:
        """Have `say` called with this kernel's name before each call; it must be loaded."""
        native = self.native

        def call(*args: Any) -> Any:
            say(f"running {self.function.__name__}")
            return native(*args)  # type: ignore[misc]  # it is loaded

        self.native = call

    def parameter_types(self) -> list[str]:
        """Return the types of the parameters as the signature has them."""
        inner = self.signature[self.signature.index("(") + 1 : self.signature.rindex(")")]
        return re.split(r", *(?![^\[]*\])", inner)  # at commas that are not within brackets

    def bind(self, address: int) -> None:
        """Make the machine code at `address` callable."""
        import numpy as np  # here, since a look for compiled kernels needs none

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
inlined: dict[str, list[tuple[Callable[..., Any], frozenset[str]]]] = {}
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
        inlined.setdefault(function.__module__, []).append((function, fastmath))
        return function

    return declare


def kernels(module: str) -> list[Kernel]:
    """Return the kernels that `module` declares."""
    return _kernels[module]


def load(module: str) -> None:
    """Load the kernels of `module`, compiling them first if there is no object code for them."""
    _link(_kernels[module], object_code(Path(str(sys.modules[module].__file__))))


def object_code(source: Path) -> bytes:
    """Return the object code of a module's kernels: what is kept, else compiled and kept.

    Raises
    ------
    KernelError
        If the module has changed since its bitcode was built.
    """
    bitcode = cache.bitcode(source)
    directory = cache.directory()
    path = directory / cache.object_name(source, bitcode) if directory else None
    code = None if path is None else cache.read(path)
    if code is None:
        code = _compile(bitcode)
        if path is not None:
            cache.write(path, code)
    return code


def _compile(bitcode: bytes) -> bytes:
    """Optimise bitcode for this CPU; return its object code."""
    import llvmlite.binding as llvm

    _initialize_llvm()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if "x86" in llvm.get_process_triple() else "default",
        jit=True,
    )
    module = llvm.parse_bitcode(bitcode)
    module.triple = llvm.get_process_triple()
    module.data_layout = str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def _initialize_llvm() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def symbol(name: str) -> str:
    """Return what the kernel called `name` is called in object code."""
    return f"kernel.{name}"


def _check_executable_memory() -> None:
    """Raise KernelError where Linux refuses memory that can be executed: LLVM would crash."""
    if sys.platform == "linux":
        try:
            mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_WRITE | mmap.PROT_EXEC).close()
        except PermissionError as error:
            raise KernelError(
                "this system forbids executable memory, which compiled code needs: remove "
                "MemoryDenyWriteExecute=yes from the systemd unit, or allow execmem in SELinux"
            ) from error


def _link(declared: list[Kernel], code: bytes) -> None:
    """Link object code into this process and bind the kernels to it."""
    import llvmlite.binding as llvm

    _check_executable_memory()
    _initialize_llvm()
    c_library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    for name in MATH:
        llvm.add_symbol(name, ctypes.cast(getattr(c_library, name), ctypes.c_void_p).value)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    for one in declared:
        one.bind(engine.get_function_address(symbol(one.function.__name__)))
