"""Transcribes English with moonshine in a child process; `backend.children` holds the protocol.

The answer has no times. From silence and steady noise the model makes words, in a long recording it
repeats itself, and its own voice detection splits sentences. So that is off, and only pieces with
speech in them are asked about.
"""

import json
import os
import sys
from array import array
from importlib.util import find_spec
from types import ModuleType
from typing import Any

SAMPLE_RATE = 16_000
FRAME_S = 0.02
SILENT = 180
"""Peak of a frame, of 32,768, below which it is silent: -45 dBFS."""
MIN_CONTRAST = 2.0
"""Speech has frames this much louder than its quiet ones; noise has not."""
ACTIVE = 0.1
"""Part of the loud frames' peak that a frame with speech reaches."""
MIN_ACTIVE_S = 0.1
MARGIN_S = 0.2
"""What is kept before and after the frames with speech."""
PADDING_S = 0.3
PIECE_S = (4.0, 10.0)
"""Shortest and longest piece: time grows faster than length, and a minute becomes repetition."""
PAUSE_FRAMES = 8
"""A cut is made where this many frames together are quietest."""

_transcriber: Any = None


def load() -> None:
    """Load the model."""
    global _transcriber
    os.environ["MOONSHINE_ORT_SINGLE_THREAD"] = "1"
    # Without the package's own start, which imports what downloads other models.
    spec = find_spec("moonshine_voice")
    if spec is None:
        raise ImportError(
            "moonshine-voice has no wheel for this machine: "
            "set RR_STT_ENGINE to whisper, openai or elevenlabs"
        )
    package = ModuleType("moonshine_voice")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["moonshine_voice"] = package
    from moonshine_voice.moonshine_api import ModelArch
    from moonshine_voice.transcriber import Transcriber
    from moonshine_voice.utils import get_model_path

    options = {"vad_threshold": "0", "return_audio_data": "false"}
    _transcriber = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options)


def answer(_: dict[str, Any], pcm: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request."""
    padding = [0.0] * round(PADDING_S * SAMPLE_RATE)
    texts = []
    for y in pieces(array("h", pcm), SAMPLE_RATE):
        padded = [*padding, *(sample / 32_768 for sample in y), *padding]
        lines = _transcriber.transcribe_without_streaming(padded, SAMPLE_RATE).lines
        texts += [line.text.strip() for line in lines]
    return {}, json.dumps({"text": " ".join(filter(None, texts))}).encode()


def pieces(y: "array[int]", sample_rate: int) -> list["array[int]"]:
    """Return the parts of `y` with speech in them, cut at pauses."""
    frame_length = round(FRAME_S * sample_rate)
    peaks = [
        max(max(frame), -min(frame))
        for frame in (y[at : at + frame_length] for at in range(0, len(y), frame_length))
    ]
    loudest_first = sorted(peaks, reverse=True)
    if not loudest_first:
        return []
    loud = loudest_first[len(peaks) // 20]
    quiet = loudest_first[-1 - len(peaks) // 10]
    if loud < SILENT or loud < MIN_CONTRAST * quiet:
        return []
    threshold = max(SILENT, ACTIVE * loud)
    margin = round(MARGIN_S / FRAME_S)
    found = []
    for start, end in _cut(peaks):
        active = [at for at in range(start, end) if peaks[at] >= threshold]
        if len(active) * FRAME_S >= MIN_ACTIVE_S:
            first, last = max(start, active[0] - margin), min(end, active[-1] + 1 + margin)
            found.append(y[first * frame_length : last * frame_length])
    return found


def _cut(peaks: list[int]) -> list[tuple[int, int]]:
    """Return the first and the last frame of each piece, the last one exclusive."""
    shortest, longest = (round(length_s / FRAME_S) for length_s in PIECE_S)
    cuts = [0]
    while len(peaks) - cuts[-1] > longest:
        window = range(cuts[-1] + shortest, cuts[-1] + longest - PAUSE_FRAMES)
        quietest = min(window, key=lambda at: sum(peaks[at : at + PAUSE_FRAMES]))
        cuts.append(quietest + PAUSE_FRAMES // 2)
    return list(zip(cuts, [*cuts[1:], len(peaks)], strict=True))
