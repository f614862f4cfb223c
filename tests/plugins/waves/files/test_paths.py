"""Where waves go."""

from pathlib import Path

import pytest

from backend.errors import ReflectiveResonanceError
from plugins.waves.files import paths

ROOT = Path("/show/artifacts")


@pytest.mark.parametrize(
    ("turn", "base"),
    [
        (1, "slot-1_gpt-5.2_calm_soothing"),
        (2, "slot-2_comment_to_slot-6_claude-sonnet-4-5_warm_professional"),
        (3, "slot-3_reply_gemini-3_friendly_casual"),
    ],
)
def test_the_layout_of_speech_is_mirrored(turn: int, base: str) -> None:
    """The waves of an utterance stand under the same session, turn and base name."""
    wav = ROOT / f"tts/sessions/2026-11-22_abc/turn_{turn}/{base}.wav"

    targets = paths.session_targets(wav, ROOT)

    directory = ROOT / f"waves/sessions/2026-11-22_abc/turn_{turn}"
    assert targets == tuple(directory / f"{base}_v3_wave{h}.wav" for h in (1, 2, 3))


@pytest.mark.parametrize(
    "wav",
    [
        "/show/artifacts/waves/sessions/s/turn_1/a.wav",
        "/show/artifacts/tts/sessions/s/turn_0/a.wav",
        "/show/artifacts/tts/sessions/s/turn_1/a.mp3",
        "/show/artifacts/tts/sessions/s/a.wav",
        "/show/artifacts/tts/sessions/s/turn_1/deep/a.wav",
        "/show/artifacts/tts/sessions/s/../../../../elsewhere/turn_1/a.wav",
        "/elsewhere/tts/sessions/s/turn_1/a.wav",
        "/show/artifacts/tts/sessions/.hidden/turn_1/a.wav",
        "/show/artifacts/tts/sessions/s/turn_1/a\nb.wav",
        "/show/artifacts/tts/sessions/s/turn_1/.wav",
    ],
)
def test_anything_else_is_refused(wav: str) -> None:
    """A path that is not an utterance under the artifacts root is refused and named."""
    with pytest.raises(ReflectiveResonanceError, match=r"wav|path"):
        paths.session_targets(Path(wav), ROOT)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("voice.wav", "voice_v3_wave1.wav"),
        ("Voice 1.final.WAV", "Voice 1.final_v3_wave1.wav"),
        ("no-suffix", "no-suffix_v3_wave1.wav"),
        ("gpt-5.2", "gpt-5.2_v3_wave1.wav"),
    ],
)
def test_a_plain_file_keeps_its_base_name(name: str, first: str) -> None:
    """The waves of any file stand in the directory asked for, named after the file."""
    targets = paths.targets_in(Path("out"), Path("in") / name)

    assert targets[0] == Path("out") / first
    assert [target.name[-9:] for target in targets] == ["wave1.wav", "wave2.wav", "wave3.wav"]


def test_waves_that_stand_are_found_by_profile(tmp_path: Path) -> None:
    """V3 comes first; of a set with gaps, or of less than three by V3, there is nothing."""
    stand = ("a_faraday_wave1", "a_slots_wave1", "a_slots_wave2", "a_tides_wave2", "b_v3_wave1")
    for name in (*stand, *(f"a_v3_wave{n}" for n in (1, 2, 3))):
        (tmp_path / f"{name}.wav").touch()

    found = paths.standing(tmp_path, Path("a.wav"))

    counts = {profile: len(files) for profile, files in found.items()}
    assert {"v3": 3, "faraday": 1, "slots": 2} == counts
    assert "v3" == next(iter(found))
    assert {} == paths.standing(tmp_path, Path("b.wav"))
    assert {} == paths.standing(tmp_path / "nowhere", Path("a.wav"))
