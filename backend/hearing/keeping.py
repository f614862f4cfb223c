"""Keeps a recording and its transcript, where `RR_STT_KEEP` says so.

stt/sessions/<heard_id>/input.<ext>       as it was sent
                        transcript.json   the text, the words and their times
                        transcript.txt    the text
                        metadata.json     written last: with it the four are complete
"""

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from backend.hearing.engine import Heard
from backend.storage import RECORDING_TYPES, Artifacts, write_bytes


def keep(artifacts: Artifacts, heard: Heard, data: bytes, label: str, heard_at: datetime) -> Heard:
    """Write the files of a recording; return `heard` with the paths of two of them.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    directory = artifacts.session("stt", heard.heard_id)
    suffixes = (end for end, kind in RECORDING_TYPES.items() if kind == heard.mime_type)
    suffix = next(suffixes, ".bin")  # a container that has no name here is not served
    transcript = heard.transcript
    metadata = {
        "heard_id": heard.heard_id,
        "label": label,
        "heard_at": heard_at.isoformat(),
        "duration_ms": heard.duration_ms,
        "mime_type": heard.mime_type,
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
    audio_path, transcript_path, *_ = (artifacts.relative(directory / name) for name in files)
    return replace(heard, audio_path=audio_path, transcript_path=transcript_path)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
