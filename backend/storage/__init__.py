"""Files below the artifacts root: names, atomic writes, the lock, leases, sizes, WAV headers."""

from backend.storage import riff
from backend.storage.artifacts import SERVED_TREES, TEMPORARY_DIRECTORY, Artifacts, Tree
from backend.storage.atomic import (
    DRAFT_PREFIX,
    FILE_MODE,
    flush_directory,
    flush_file,
    make_directory,
    replace_file,
    write_bytes,
)
from backend.storage.disk_walk import is_settled, walk
from backend.storage.leases import Leases
from backend.storage.lock import NO_LOCKS, holding
from backend.storage.names import (
    RECORDING_TYPES,
    SESSION_FILE,
    WAV_SUFFIX,
    WAVE_NUMBERS,
    SpeechName,
    is_plain_name,
    is_wave_name,
    new_session_id,
    plain_name,
    profile_of,
    turn_index_of,
    wave_name,
    wave_names,
)
from backend.storage.riff import MAX_RATE_HZ, MIN_RATE_HZ, WavError, read_header

__all__ = [
    "DRAFT_PREFIX",
    "FILE_MODE",
    "MAX_RATE_HZ",
    "MIN_RATE_HZ",
    "NO_LOCKS",
    "RECORDING_TYPES",
    "SERVED_TREES",
    "SESSION_FILE",
    "TEMPORARY_DIRECTORY",
    "WAVE_NUMBERS",
    "WAV_SUFFIX",
    "Artifacts",
    "Leases",
    "SpeechName",
    "Tree",
    "WavError",
    "flush_directory",
    "flush_file",
    "holding",
    "is_plain_name",
    "is_settled",
    "is_wave_name",
    "make_directory",
    "new_session_id",
    "plain_name",
    "profile_of",
    "read_header",
    "replace_file",
    "riff",
    "turn_index_of",
    "walk",
    "wave_name",
    "wave_names",
    "write_bytes",
]
