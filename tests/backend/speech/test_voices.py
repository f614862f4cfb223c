"""voices.toml: what it changes, and what it says when it is wrong."""

from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.speech import PROFILES
from backend.speech.voices import load_voices


def written(tmp_path: Path, text: str) -> Path:
    """Return a voices.toml of `text`."""
    path = tmp_path / "voices.toml"
    path.write_text(text, "utf-8")
    return path


def test_every_profile_has_a_voice_of_its_own() -> None:
    """Built in, each service speaks the six profiles with six voices."""
    for engine in ("elevenlabs", "openai"):
        voices = load_voices()[engine].voices
        assert 6 == len({voices[profile].voice for profile in PROFILES})
        assert all(voices[profile].model for profile in PROFILES)


def test_a_file_goes_over_what_is_built_in(tmp_path: Path) -> None:
    """A profile's entry beats the engine's, which beats the default; the rest stays."""
    path = written(
        tmp_path,
        """
        [openai]
        model = "kokoro"
        max_requests = 3
        [openai.calm_soothing]
        voice = "af_heart"
        model = "other"
        speed = 0.9
        """,
    )

    openai = load_voices(path)["openai"]

    calm, casual = openai.voices["calm_soothing"], openai.voices["friendly_casual"]
    assert ("af_heart", "other", 0.9) == (calm.voice, calm.model, calm.speed)
    assert ("coral", "kokoro", 1) == (casual.voice, casual.model, casual.speed)
    assert 3 == openai.max_requests
    assert load_voices()["elevenlabs"] == load_voices(path)["elevenlabs"]


def test_a_model_stands_beside_the_file(tmp_path: Path) -> None:
    """The path of a Piper model is relative to the file that names it."""
    voices = load_voices(written(tmp_path, '[piper.calm_soothing]\nmodel = "a.onnx"\n'))["piper"]

    assert str(tmp_path / "a.onnx") == voices.voices["calm_soothing"].model
    assert "" == voices.voices["friendly_casual"].model


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[parrot]", ["[parrot]", "no such engine", "elevenlabs"]),
        ("openai = 3", ["openai", "must be a table"]),
        ("[openai.loud]", ["[openai.loud]", "no such profile", "calm_soothing"]),
        ("[openai]\nstyle = 0.3", ["[openai] style = 0.3", "takes voice, model"]),
        ("[openai]\nspeed = 9", ["speed = 9", "0.25 to 4"]),
        ("[elevenlabs]\nspeed = true", ["speed = True", "0.7 to 1.2"]),
        ("[elevenlabs]\nspeed = nan", ["speed = nan", "0.7 to 1.2"]),
        ("[elevenlabs.calm_soothing]\nstyle = 'sad'", ["[elevenlabs.calm_soothing]", "0 to 1"]),
        ("[elevenlabs]\nvoice = 3", ["voice = 3", "must be a text"]),
        ("[elevenlabs]\nmax_requests = 0", ["max_requests = 0", "1 to 64"]),
    ],
)
def test_a_wrong_entry_is_one_line(text: str, words: list[str], tmp_path: Path) -> None:
    """The line names the file, the entry, its value and what it should be."""
    with pytest.raises(SettingsError) as caught:
        load_voices(written(tmp_path, text))

    (line,) = str(caught.value).splitlines()
    assert [] == [word for word in ["voices.toml", *words] if word not in line]


def test_all_wrong_entries_are_told_at_once(tmp_path: Path) -> None:
    """Three mistakes are three lines."""
    path = written(tmp_path, "[parrot]\n[openai]\nspeed = 9\n[piper.loud]\n")

    with pytest.raises(SettingsError) as caught:
        load_voices(path)

    assert 3 == len(str(caught.value).splitlines())


@pytest.mark.parametrize("content", [b"[openai", b"\xff\xfe\x01"])
def test_what_is_not_toml(content: bytes, tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    path = tmp_path / "voices.toml"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=r"voices\.toml(, line 1:)? is not (TOML|UTF-8)"):
        load_voices(path)
    with pytest.raises(SettingsError, match=r"RR_VOICES_FILE=.*No such file"):
        load_voices(tmp_path / "nothing.toml")


def test_the_model_of_elevenlabs_is_a_setting_that_the_file_beats(tmp_path: Path) -> None:
    """`RR_SPEECH_ELEVENLABS_MODEL` is every profile's model but for those of `voices.toml`."""
    path = written(tmp_path, '[elevenlabs.calm_soothing]\nmodel = "other"\n')

    voices = load_voices(path, elevenlabs_model="mine")["elevenlabs"].voices

    assert ("other", "mine") == (
        voices["calm_soothing"].model,
        voices["friendly_casual"].model,
    )
