"""The embedded voice: espeak-ng in a new child process for each utterance.

In this process it would not be safe: it keeps global state, two threads in it crash, and some texts
end the process. A new child costs some 50 ms and holds nothing of the last visitor.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import espeakng_loader

from backend.children import child_command
from backend.errors import SpeechError
from backend.speech.children import ChildEngine
from backend.speech.profiles import EMBEDDED_VOICES, PROFILES, EmbeddedVoice, VoiceProfile

CHILD_COMMAND = child_command(Path(__file__).with_name("child.py"), "-S")
_PACKAGE = Path(espeakng_loader.__file__).parent
_GRACE_S = 1.0
"""How much later than the parent's limit a child without a parent ends itself."""


class EmbeddedEngine(ChildEngine[EmbeddedVoice]):
    """Speaks with espeak-ng, offline and without a key."""

    name = "embedded"
    label = "the embedded voice"
    child_command = CHILD_COMMAND
    child_folder = _PACKAGE
    reuses_children = False

    def __init__(
        self,
        voices: Mapping[VoiceProfile, EmbeddedVoice] = EMBEDDED_VOICES,
        *,
        max_requests: int = 6,
        **options: Any,
    ) -> None:
        super().__init__(voices, max_requests=max_requests, **options)

    def request(self, voice: EmbeddedVoice) -> dict[str, object]:
        """Return the parameters of `voice`; see `ChildEngine`."""
        return asdict(voice) | {
            "library": espeakng_loader.get_library_path(),
            "limit_s": self._timeout_s + _GRACE_S,
        }

    def check(self) -> str:
        """Return that every voice's file is there; see `SpeechEngine`."""
        data = _PACKAGE / "espeak-ng-data"
        languages = {file.name.lower() for file in (data / "lang").rglob("*") if file.is_file()}
        missing = []
        for embedded in self._voices.values():  # espeak-ng itself ignores an unknown variant
            language, _, variant = embedded.voice.partition("+")
            known_variant = not variant or (data / "voices" / "!v" / variant).is_file()
            if language not in languages or not known_variant:
                missing.append(embedded.voice)
        if missing:
            raise SpeechError(f"missing: {', '.join(missing)}; reinstall espeakng-loader")
        return f"all {len(PROFILES)} are there"
