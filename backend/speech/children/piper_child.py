"""Speaks with Piper in a child process; `backend.children` holds the protocol.

A request also holds "model", "speaker" and "length_scale". The process stays, because loading a
model takes a second.
"""

from typing import Any

_loaded: dict[str, Any] = {}


def answer(request: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request."""
    try:
        sample_rate, pcm = speak(request)
    except Exception as error:  # noqa: BLE001 - its message may quote the text
        return {"error": f"{type(error).__name__}; check its model with `voices`"}, b""
    return {"sample_rate": sample_rate}, pcm


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
