"""Kernels that end their process, made of real ones."""

import re
import shutil
from pathlib import Path

import llvmlite.binding as llvm

SEGFAULT = "store volatile i8 0, ptr inttoptr (i64 8 to ptr)"
HANG = "%hung = call i32 @pause()"


def spoiled(bitcode: bytes, kernel: str, instruction: str = SEGFAULT) -> bytes:
    """Return `bitcode` with an instruction more at the beginning of `kernel`."""
    text = str(llvm.parse_bitcode(bitcode))
    beginning = rf"(define [^\n]*@kernel\.{kernel}\([^\n]*\{{\n(?:[\w.]+:[^\n]*\n)?)"
    text, count = re.subn(beginning, rf"\g<1>  {instruction}\n", text)
    assert count == 1
    spoiled: bytes = llvm.parse_assembly(text + "\ndeclare i32 @pause()\n").as_bitcode()
    return spoiled


def copy_program(root: Path, folder: Path, kernel: str, instruction: str = SEGFAULT) -> Path:
    """Copy the program into `folder` with a spoiled kernel of the synthesis; return `folder`."""
    for package in ("backend", "plugins"):
        shutil.copytree(
            root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (path,) = (folder / "plugins/waves/jit/bitcode").glob("v3.kernels-*.bc")
    path.write_bytes(spoiled(path.read_bytes(), kernel, instruction))
    return folder
