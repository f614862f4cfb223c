"""The command `hear`: transcribes a recording as the server does."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.config import Settings
from backend.errors import SettingsError, UsageError
from backend.hearing import LANGUAGE_CODE, create_hearing, hearing_engine_names


def read(file: Path) -> bytes:
    """Return the bytes of a recording, or raise UsageError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
    if not data:
        raise UsageError(f"{file} is empty: name a recording")
    return data


async def transcribe(settings: Settings, file: Path, language: str) -> dict[str, Any]:
    """Return what is understood of `file`, or raise what says why not."""
    if not hearing_engine_names(settings):
        raise SettingsError("hearing is turned off: set RR_STT_ENGINE to one of its engines")
    if not re.match(LANGUAGE_CODE, language):
        raise UsageError(f"--language {language}: write a code such as en or de-AT")
    data = read(file)
    hearing = create_hearing(settings, None)
    try:
        heard = await hearing.hear(data, language_code=language)
    finally:
        hearing.close()
    return {
        **asdict(heard.transcript),
        "file": str(file),
        "duration_ms": heard.duration_ms,
        "mime_type": heard.mime_type,
    }
