"""The voices that are asked in turn until one has spoken."""

from pathlib import Path

from backend.services import Chain
from backend.speech.engine import SpeechEngine, Spoken
from backend.speech.text import clean


class FallbackEngine(Chain[SpeechEngine]):
    """Speaks with the first engine that can; see `SpeechEngine`."""

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        words = clean(text)  # first: a text without words is no engine's failure
        return self.ask(lambda engine: engine.generate_wav_to_file(words, voice_profile, path))
