"""Compile kernels from Python to LLVM's bitcode, for developers who change one.

    uv run --group e2e python -m plugins.waves.jit.build

The bitcode is committed like the source. It is not optimised, so it is the same for every 64-bit
machine; `plugins.waves.jit.loader` optimises it where it runs. It is not text, since LLVM promises
to read the bitcode of its earlier versions. `.ci/run newest_compiler` tries a newer numba.
"""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from plugins.waves.errors import KernelError
from plugins.waves.jit import cache, loader

NO_REFERENCE_COUNTS = """
define void @NRT_incref(ptr %0) alwaysinline { ret void }
define void @NRT_decref(ptr %0) alwaysinline { ret void }
"""
"""An array is passed without an owner, so no references are counted."""


def build(module: str) -> bytes:
    """Return the bitcode of the kernels of `module`.

    Raises KernelError if a kernel calls a function that is not in `loader.MATH`, such as one
    that allocates.
    """
    import llvmlite.binding as llvm

    whole = llvm.parse_assembly(NO_REFERENCE_COUNTS)
    for name, symbol, text in _translate(module):
        part = llvm.parse_assembly(text)
        part.get_function(symbol).name = loader.symbol(name)
        whole.link_in(part)
    kept = {loader.symbol(one.function.__name__) for one in loader.kernels(module)}
    for value in (*whole.functions, *whole.global_variables):
        if not value.is_declaration and value.name not in kept:
            value.linkage = "internal"
    _strip(whole)
    foreign = {
        one.name
        for one in whole.functions
        if one.is_declaration and not one.name.startswith("llvm.")
    } - set(loader.MATH)
    if foreign:
        raise KernelError(f"the kernels of {module} need {sorted(foreign)}")
    whole.triple = whole.data_layout = ""  # those of the machine that compiles it
    bitcode: bytes = whole.as_bitcode()
    return bitcode


def _translate(module: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name, numba's symbol and numba's assembly of each kernel, not optimised."""
    os.environ["NUMBA_OPT"] = "0"
    njit: Any = import_module("numba").njit
    compiler: Any = import_module("numba.core.compiler")
    options: Any = import_module("numba.core.cpu_options")
    target: Any = import_module("numba.core.registry").cpu_target
    normalize_signature: Any = import_module("numba.core.sigutils").normalize_signature
    target.typing_context.refresh()
    target.target_context.refresh()

    namespace = vars(import_module(module))
    for function, fastmath in loader.inlined.get(module, []):
        namespace[function.__name__] = njit(error_model="numpy", fastmath=set(fastmath))(function)
    for declared in loader.kernels(module):
        arguments, returned = normalize_signature(declared.signature)
        flags = compiler.Flags()
        flags.nrt = True
        flags.error_model = "numpy"
        flags.fastmath = options.FastMathOptions(set(declared.fastmath))
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        result = compiler.compile_extra(
            target.typing_context,
            target.target_context,
            declared.function,
            arguments,
            returned,
            flags,
            {},
        )
        text = result.library.get_llvm_str()
        yield declared.function.__name__, result.fndesc.llvm_func_name, text


def _strip(whole: Any) -> None:
    """Remove unreachable code, by passes that depend on no CPU."""
    import llvmlite.binding as llvm

    machine = llvm.Target.from_default_triple().create_target_machine()
    tuning = llvm.create_pipeline_tuning_options(speed_level=0)
    builder = llvm.create_pass_builder(machine, tuning)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_dead_arg_elimination_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.add_strip_symbols_pass()
    passes.run(whole, builder)


def main() -> None:
    """Build the bitcode of every module in the place of the former one."""
    for name in cache.MODULES:
        import_module(name)
        source = Path(str(sys.modules[name].__file__))
        path = cache.bitcode_path(source)
        path.parent.mkdir(exist_ok=True)
        bitcode = build(name)
        for old in path.parent.glob(f"{cache.name_of(source)}-*.bc"):
            old.unlink()
        path.write_bytes(bitcode)
        sys.stdout.write(f"{path.name}: {len(bitcode)} bytes\n")


if __name__ == "__main__":
    main()
