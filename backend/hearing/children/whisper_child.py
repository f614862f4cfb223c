"""Transcribes with faster-whisper in a child process; `backend.children` holds the protocol.

The folder of the model is the process's last argument.
"""

import json
import os
import sys
from typing import Any

BEAM_SIZE = 5

_model: Any = None


def load() -> None:
    """Load the model; what its folder lacks is not fetched."""
    global _model
    os.environ["HF_HUB_OFFLINE"] = "1"
    from faster_whisper import WhisperModel

    _model = WhisperModel(
        sys.argv[-1],
        device="cpu",
        compute_type="int8",
        cpu_threads=max(1, (os.cpu_count() or 1) // 2),  # the others are for voices and waves
        local_files_only=True,
    )


def answer(request: dict[str, Any], pcm: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request."""
    import numpy as np

    language = request["language"]
    if language not in _model.supported_languages:
        return {"error": f"its model does not know the language {language!r}"}, b""
    y = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    segments, _ = _model.transcribe(y, language=language, beam_size=BEAM_SIZE, word_timestamps=True)
    found = list(segments)
    words = [
        [word.word.strip(), float(word.start), float(word.end)]
        for segment in found
        for word in segment.words or ()
    ]
    text = " ".join(segment.text.strip() for segment in found)
    return {}, json.dumps({"text": text, "words": words}).encode()
