"""The child process of Piper: answers requests until stdin ends, by the protocol in `children`.

A request also holds "model", "speaker" and "length_scale". The text is in no message. Run as a
script, `python -I child.py`, and never imported. The process stays, because loading a model takes a
second.
"""

import ctypes
import json
import signal
import sys
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
_loaded: dict[str, Any] = {}


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for line in sys.stdin.buffer:
        try:
            sample_rate, pcm = speak(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the parent says it; its message may quote the text
            _send({"error": f"{type(error).__name__}; check its model with `voices`"})
        else:
            _send({"sample_rate": sample_rate, "n_bytes": len(pcm)}, pcm)


def speak(request: dict[str, Any]) -> tuple[int, bytes]:
    """Return the sample rate in Hertz and the PCM of one request."""
    from piper import PiperVoice, SynthesisConfig

    model = request["model"]
    if model not in _loaded:
        _loaded[model] = PiperVoice.load(model)
    voice = _loaded[model]
    config = SynthesisConfig(
        speaker_id=_speaker_id(voice.config, request["speaker"]),
        length_scale=voice.config.length_scale * request["length_scale"],
    )
    pcm = bytearray()
    max_bytes = request["max_duration_s"] * voice.config.sample_rate * 2
    # Piper takes [[...]] for phonemes; here it is text.
    for chunk in voice.synthesize(request["text"].replace("[[", "[ ["), config):
        pcm += chunk.audio_int16_bytes
        if len(pcm) > max_bytes:
            break
    return voice.config.sample_rate, bytes(pcm)


def _speaker_id(config: Any, speaker: str) -> int | None:
    if not speaker:
        return None
    return config.speaker_id_map[speaker] if speaker in config.speaker_id_map else int(speaker)


def _send(header: dict[str, object], pcm: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + pcm)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
    main()
