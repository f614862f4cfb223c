"""Files below the artifacts root: names, atomic writes, the lock, leases, WAV headers."""

from backend.storage import riff
from backend.storage.artifacts import (
    SERVED_TREES,
    TEMPORARY_DIRECTORY,
    Artifacts,
    safe_part,
)
from backend.storage.atomic import (
    DRAFT_PREFIX,
    flush_directory,
    flush_file,
    replace_file,
    write_bytes,
    writing,
)
from backend.storage.leases import Leases
from backend.storage.lock import holding
from backend.storage.riff import MAX_RATE_HZ, MIN_RATE_HZ, WavError, read_header
from backend.storage.wav import WavInfo, read_wavinfo

__all__ = [
    "DRAFT_PREFIX",
    "MAX_RATE_HZ",
    "MIN_RATE_HZ",
    "SERVED_TREES",
    "TEMPORARY_DIRECTORY",
    "Artifacts",
    "Leases",
    "WavError",
    "WavInfo",
    "flush_directory",
    "flush_file",
    "holding",
    "read_header",
    "read_wavinfo",
    "replace_file",
    "riff",
    "safe_part",
    "write_bytes",
    "writing",
]
