"""Where the object code of kernels is kept between starts, and what if that place is broken.

The directory is named after everything that makes machine code invalid: numba, Python and the CPU.
A file carries a checksum: one that a power cut left empty or truncated is deleted and made again,
with a warning. It appears under its name complete or not at all, so cold processes may race.
"""

import hashlib
import logging
import os
import platform
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

logger = logging.getLogger(__name__)

APP = "reflective-resonance"
ROOT_VARIABLE = "RR_WAVES_KERNEL_CACHE"
"""Names the directory above the cache; a worker sets it to what the plugin's settings say."""
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
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError) as error:
        logger.warning(
            "no writable cache for compiled kernels (%s): they are compiled at every start, which "
            "takes some seconds; set %s to a writable directory",
            error,
            ROOT_VARIABLE,
        )
        return None


def cache_key() -> str:
    """Return a directory name that changes with numba, Python and the CPU."""
    import llvmlite.binding as llvm  # whoever asks loads or compiles kernels next

    features = llvm.get_host_cpu_features().flatten()
    parts = [
        _version("numba"),
        _version("llvmlite"),
        platform.python_version(),
        sys.platform,
        platform.machine(),
        llvm.get_host_cpu_name(),
        features,
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return f"numba-{parts[0]}-py{sys.version_info.major}{sys.version_info.minor}-{digest}"


def read(path: Path) -> bytes | None:
    """Return what `write` wrote; None if there is nothing, or nothing sound."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("cannot read compiled kernels from %s: %s", path, error)
        return None
    if _is_sound(data):
        return data[_DIGEST_SIZE:]
    _delete_damaged(path.parent)
    return None


def _is_sound(data: bytes) -> bool:
    return hashlib.sha256(data[_DIGEST_SIZE:]).digest() == data[:_DIGEST_SIZE]


def _delete_damaged(directory: Path) -> None:
    """Delete every damaged file of the cache: a power cut seldom hits one, but is told once."""
    deleted = []
    for path in sorted(directory.glob("*.kernels")):
        try:
            if not _is_sound(path.read_bytes()):
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
    """Keep `content` in `path`; a failure is logged and costs the next start some seconds."""
    handle = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(name).replace(path)
    except OSError as error:
        logger.warning("cannot keep compiled kernels in %s: %s", path, error)
        if handle is not None:
            Path(name).unlink(missing_ok=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"
