"""The speech engines there are, by name.

An engine's module is imported when the engine is asked for: one that speaks over the network need
not be paid for by a show that does not use it.
"""

from collections.abc import Callable
from pathlib import Path

from backend.errors import SettingsError
from backend.speech.engine import DEFAULT_TIMEOUT_S, SpeechEngine


def _embedded(temporary: Path, timeout_s: float) -> SpeechEngine:
    from backend.speech.embedded import EmbeddedEngine

    return EmbeddedEngine(temporary=temporary, timeout_s=timeout_s)


_ENGINES: dict[str, Callable[[Path, float], SpeechEngine]] = {"embedded": _embedded}
ENGINES = tuple(_ENGINES)
"""The names `create_engine` knows."""


def create_engine(
    name: str, *, temporary: Path, timeout_s: float = DEFAULT_TIMEOUT_S
) -> SpeechEngine:
    """Return the engine called `name`.

    Parameters
    ----------
    name : str
        One of `ENGINES`.
    temporary : Path
        Where WAVs stand while they are being written, on the file system of the artifacts.
    timeout_s : float > 0
        Time limit of one utterance.

    Raises
    ------
    SettingsError
        If there is no such engine, or the time limit is not a positive number.
    """
    if name not in _ENGINES:
        known = ", ".join(ENGINES)
        raise SettingsError(f"there is no speech engine {name!r}: choose one of {known}")
    if not 0 < timeout_s < float("inf"):
        raise SettingsError(f"the time limit of speech must be above 0 seconds, not {timeout_s}")
    return _ENGINES[name](temporary, timeout_s)
