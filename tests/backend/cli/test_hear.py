"""The command `hear`."""

import json
from pathlib import Path

import pytest

from tests.command import invoke
from tests.recordings import NEEDS_MOONSHINE, encode, spoken, tone


@pytest.mark.e2e
@NEEDS_MOONSHINE
def test_a_recording_is_shown_in_words(tmp_path: Path) -> None:
    """As text for people, and as data with what was found out."""
    file = tmp_path / "question.webm"
    y = spoken("I would like to know why you are so quiet tonight.", tmp_path)
    file.write_bytes(encode(y, "webm"))

    shown = invoke("hear", str(file), RR_STT_ENGINE="embedded")
    data = invoke("hear", str(file), "--json", RR_STT_ENGINE="embedded")

    heard = json.loads(data.stdout)
    assert (0, 0) == (shown.exit_code, data.exit_code)
    assert heard["text"] == shown.stdout.strip()
    assert "I would like to know why" in heard["text"]
    assert ("embedded", "en", "audio/webm") == (
        heard["engine"],
        heard["language_code"],
        heard["mime_type"],
    )


def test_what_cannot_be_heard_is_told(tmp_path: Path) -> None:
    """Each mistake has its exit code and names the value."""
    text, blip = tmp_path / "letter.txt", tmp_path / "blip.wav"
    text.write_text("Dear water")
    blip.write_bytes(encode(tone(0.1), "wav"))
    on = {"RR_STT_ENGINE": "embedded"}

    no_audio, short = invoke("hear", str(text), **on), invoke("hear", str(blip), **on)
    missing = invoke("hear", str(tmp_path / "nothing.wav"), **on)
    off = invoke("hear", str(blip), RR_STT_ENGINE="none")
    word = invoke("hear", str(blip), "--language", "english", **on)
    setting = invoke("hear", str(blip), RR_STT_LANGUAGE="english", **on)

    outcomes = (no_audio, short, missing, off, word, setting)
    assert [1, 1, 2, 2, 2, 2] == [one.exit_code for one in outcomes]
    assert "--language english: write a code such as en" in word.stderr
    assert "RR_STT_LANGUAGE='english': not a language" in setting.stderr
    assert "Send webm, mp4, m4a, ogg, wav, mp3 or flac" in no_audio.stderr
    assert "too short" in short.stderr
    assert "nothing.wav: No such file" in missing.stderr
    assert "hearing is turned off: set RR_STT_ENGINE" in off.stderr
