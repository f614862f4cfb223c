"""Speaks with espeak-ng in a child process; `backend.children` holds the protocol.

A request also holds "library", "voice", "rate_wpm", "volume", "pitch", "pitch_range", "word_gap",
"limit_s". The text is in no argument, no message and no core dump. The standard library is enough,
so site-packages are kept out. The working directory is the one that holds `espeak-ng-data`.
"""

import ctypes
import faulthandler
from typing import Any

# From speak_lib.h of espeak-ng 1.52.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000  # report missing data instead of calling exit()
_DATA_DIRECTORY = b"."  # a path beyond 159 bytes would be cut; the working directory never is
_CHARACTERS_ARE_UTF8 = 1  # and nothing else: no SSML, no phoneme input
_POSITION_IS_CHARACTER = 1
_PARAMETERS = {"rate_wpm": 1, "volume": 2, "pitch": 3, "pitch_range": 4, "word_gap": 7}
_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(Exception):
    """A call of the library failed; the message is for the parent's log."""


def answer(request: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request."""
    # Ends this process even while C code hangs, should the parent not be there to do it.
    faulthandler.dump_traceback_later(request["limit_s"], exit=True)
    try:
        sample_rate, pcm = speak(request)
    except (EspeakError, OSError) as error:
        return {"error": str(error)}, b""
    return {"sample_rate": sample_rate}, pcm


def speak(request: dict[str, Any]) -> tuple[int, bytes]:
    """Return the sample rate in Hertz and the PCM, or raise EspeakError or OSError."""
    espeak = ctypes.CDLL(request["library"])
    sample_rate = espeak.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS, 0, _DATA_DIRECTORY, _DO_NOT_EXIT
    )
    if sample_rate <= 0:
        raise EspeakError("its data could not be read: install espeakng-loader again")
    # The voice comes first: choosing one resets the parameters.
    voice = request["voice"]
    _check(f"choose the voice {voice}", espeak.espeak_SetVoiceByName(voice.encode()))
    for parameter, number in _PARAMETERS.items():
        value = int(request[parameter])
        _check(f"set {parameter} to {value}", espeak.espeak_SetParameter(number, value, 0))

    pcm = bytearray()
    max_bytes = request["max_duration_s"] * sample_rate * 2

    def keep(samples: Any, n_samples: int, _events: Any) -> int:
        if samples and n_samples > 0:
            pcm.extend(ctypes.string_at(samples, n_samples * 2))
        return int(len(pcm) >= max_bytes)  # 1 stops the synthesis

    callback = _SYNTH_CALLBACK(keep)  # held here for as long as the library may call it
    espeak.espeak_SetSynthCallback(callback)
    text = request["text"].encode()
    size = ctypes.c_size_t(len(text) + 1)  # with the zero that ends it
    status = espeak.espeak_Synth(
        text, size, 0, _POSITION_IS_CHARACTER, 0, _CHARACTERS_ARE_UTF8, None, None
    )
    _check("speak", status)
    return sample_rate, bytes(pcm)


def _check(step: str, status: int) -> None:
    if status != 0:
        raise EspeakError(f"it could not {step} (status {status})")
