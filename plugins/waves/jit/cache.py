"""The directory that keeps the object code of kernels between starts.

Its name changes with LLVM and the CPU, and that of a file with its module and the bitcode that it
was compiled from. A file begins with a checksum: one that a power cut left empty or truncated is
deleted and written again, with a warning. Files are renamed into place, so processes may race.
"""

import hashlib
import logging
import os
import platform
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from backend.storage import make_directory
from plugins.waves.errors import KernelError, describe

logger = logging.getLogger(__name__)

MODULES = tuple(
    f"plugins.waves.{module}"
    for module in (
        "pyin.kernels.search",
        "pyin.kernels.candidates",
        "pyin.kernels.backtrack",
        "pyin.kernels.difference",
        "v3.kernels",
    )
)
"""Every module of kernels; those that take longest to compile come first."""
WAVES = Path(__file__).parents[1]
APP = "reflective-resonance"
ROOT_VARIABLE = "RR_WAVES_KERNEL_CACHE"
"""Names the directory above the cache; a worker sets it from the plugin's settings."""
BUILD_COMMAND = "uv run --group e2e python -m plugins.waves.jit.build"
TRIED, REFUSED = ".tried", ".refused"
"""How the trial of all kernels went, beside their object code; see `plugins.waves.preparing`."""
_DIGEST_SIZE = 32


def default_root() -> Path:
    """Return the directory that the environment names, else the user's cache of this program."""
    if os.environ.get(ROOT_VARIABLE):
        return Path(os.environ[ROOT_VARIABLE])
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base, APP)


@cache
def directory() -> Path | None:
    """Return the cache directory, made if need be; None, with one warning, if it cannot be written.

    Kernels are then compiled at every start.
    """
    try:
        path = default_root() / cache_key()
        make_directory(path)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError) as error:
        logger.warning(
            "no writable cache for compiled kernels (%s): they are compiled at every start; "
            "set %s to a writable directory",
            error,
            ROOT_VARIABLE,
        )
        return None


def cache_key() -> str:
    """Return a directory name that changes with LLVM and the CPU."""
    import llvmlite.binding as llvm

    parts = [
        version("llvmlite"),
        sys.platform,
        platform.machine(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ]
    return f"llvmlite-{parts[0]}-{_digest(*(part.encode() for part in parts))}"


def bitcode_path(source: Path) -> Path:
    """Return where the bitcode of the module at `source` is, which changes with the module."""
    digest = _digest(source.read_text(encoding="utf-8").encode())
    return Path(__file__).with_name("bitcode") / f"{name_of(source)}-{digest}.bc"


def bitcode(source: Path) -> bytes:
    """Return the bitcode of the module at `source`.

    Raises KernelError if the module has changed since it was built.
    """
    path = bitcode_path(source)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise KernelError(
            f"{name_of(source)} has changed since its kernels were built: run `{BUILD_COMMAND}`"
        ) from error


def object_name(source: Path, bitcode: bytes) -> str:
    """Return the file name of the object code for a module's bitcode, linked as it is today."""
    linker = Path(__file__).with_name("loader.py").read_bytes()
    return f"{name_of(source)}-{_digest(bitcode, linker)}.kernels"


def sources() -> list[Path]:
    """Return the files of the modules of kernels, what takes longest to compile first."""
    return [WAVES.parents[1].joinpath(*name.split(".")).with_suffix(".py") for name in MODULES]


def name_of(source: Path) -> str:
    """Return the name of the module at `source` within this plugin, such as "v3.kernels"."""
    if not source.is_relative_to(WAVES):
        return source.stem
    return ".".join(source.relative_to(WAVES).with_suffix("").parts)


def trial_name() -> str:
    """Return a name for the trial of all kernels, which changes with any of them.

    Raises KernelError as `bitcode` does.
    """
    names = (object_name(source, bitcode(source)) for source in sources())
    return f"all-{_digest(*(name.encode() for name in names))}"


def check_not_refused(directory: Path, name: str) -> None:
    """Raise an error if a file in `directory` says that the trial `name` failed.

    Raises KernelError if it failed; the message says how, and how to try again.
    """
    path = directory / f"{name}{REFUSED}"
    if path.exists():
        reason = (read(path) or b"a trial of the compiled kernels failed").decode()
        raise KernelError(f"{reason}; to try them again, delete {path}")


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:12]


def read(path: Path) -> bytes | None:
    """Return what `write` wrote; None if there is no file, or a damaged one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("cannot read compiled kernels from %s: %s", path, error)
        return None
    if _is_whole(data):
        return data[_DIGEST_SIZE:]
    _delete_damaged(path.parent)
    return None


def _is_whole(data: bytes) -> bool:
    return hashlib.sha256(data[_DIGEST_SIZE:]).digest() == data[:_DIGEST_SIZE]


def _delete_damaged(directory: Path) -> None:
    """Delete every damaged file of the cache, with one warning: a power cut damages several."""
    deleted = []
    for path in sorted(directory.glob("*.kernels")):
        try:
            if not _is_whole(path.read_bytes()):
                path.unlink(missing_ok=True)
                deleted.append(path.name)
        except OSError as error:
            logger.warning("cannot delete compiled kernels in %s: %s", path, error)
    logger.warning(
        "compiled kernels in %s are damaged: %s deleted, compiling them again",
        directory,
        ", ".join(deleted),
    )


def write(path: Path, content: bytes) -> None:
    """Keep `content` in `path`; after a failure, which is logged, the next start compiles again."""
    handle = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(name).replace(path)
    except OSError as error:
        logger.warning(
            "cannot keep compiled kernels in %s (%s): they are compiled at every start",
            path.parent,
            describe(error),
        )
        if handle is not None:
            Path(name).unlink(missing_ok=True)
