"""Keeps a recording and its transcript, where `RR_STT_KEEP` says so.

stt/sessions/<heard_id>/input.<ext>       as it was sent
                        transcript.json   the text, the words and their times
                        transcript.txt    the text
                        metadata.json     written last: with it the four are complete
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from backend.hearing.engine import Transcript
from backend.storage import RECORDING_TYPES, Artifacts, write_bytes

DEFAULT_SUFFIX = ".bin"
"""Of a container that has no name here; it is not served."""


def keep(
    artifacts: Artifacts,
    heard_id: str,
    data: bytes,
    transcript: Transcript,
    *,
    duration_ms: int,
    mime_type: str,
    label: str,
    heard_at: datetime,
) -> tuple[str, str]:
    """Write the files of a recording; return the paths of the recording and of `transcript.json`.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    directory = artifacts.session("stt", heard_id)
    suffix = next(
        (end for end, kind in RECORDING_TYPES.items() if kind == mime_type), DEFAULT_SUFFIX
    )
    metadata = {
        "heard_id": heard_id,
        "label": label,
        "heard_at": heard_at.isoformat(),
        "duration_ms": duration_ms,
        "mime_type": mime_type,
        "bytes": len(data),
        "engine": transcript.engine,
        "language_code": transcript.language_code,
    }
    files = {
        f"input{suffix}": data,
        "transcript.json": _json(asdict(transcript)),
        "transcript.txt": f"{transcript.text}\n".encode(),
        "metadata.json": _json(metadata),
    }
    for name, content in files.items():
        write_bytes(directory / name, content, artifacts.temporary)
    recording, transcribed, *_ = (artifacts.relative(directory / name) for name in files)
    return recording, transcribed


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
