"""The names of sessions, turns, speech and waves."""

from datetime import UTC, datetime, timedelta

import pytest

from backend.errors import ArtifactError
from backend.storage import (
    SpeechName,
    is_plain_name,
    is_wave_name,
    new_session_id,
    profile_of,
    turn_index_of,
    wave_names,
)

SPEECH = {
    "slot-1_gpt-5.2_calm_soothing.wav": SpeechName(1, "response", "gpt-5.2", "calm_soothing"),
    "slot-2_comment_to_slot-6_gpt-4o_calm_soothing.wav": SpeechName(
        2, "comment", "gpt-4o", "calm_soothing", 6
    ),
    "slot-3_reply_gemini-3_calm_soothing.wav": SpeechName(3, "reply", "gemini-3", "calm_soothing"),
    "slot-0_summary_gpt-4o_calm_soothing.wav": SpeechName(0, "summary", "gpt-4o", "calm_soothing"),
    "slot-1_summary_calm_soothing.wav": SpeechName(1, "response", "summary", "calm_soothing"),
}


def test_ids_sort_by_time_and_are_plain_names() -> None:
    """A later session's id comes later in a listing, and no two are alike."""
    start = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    ids = [new_session_id(start + timedelta(seconds=number)) for number in range(50)]

    assert ids == sorted(ids)
    assert all(map(is_plain_name, ids))
    assert 200 == len({new_session_id(start) for _ in range(200)})


def test_speech_is_named_by_slot_kind_agent_and_voice() -> None:
    """The kinds of utterance have the names TouchDesigner relies on, and are read back."""
    for text, name in SPEECH.items():
        assert text == str(name)
        assert name == SpeechName.parse(text)


@pytest.mark.parametrize("agent_id", ["../x", "a/b", "a\\b", "a\0b", "a:b", "x" * 300])
def test_an_agent_id_cannot_lead_out_of_the_directory(agent_id: str) -> None:
    """A name that is not plain is refused, wherever it came from."""
    with pytest.raises(ArtifactError):
        str(SpeechName(1, "response", agent_id, "calm_soothing"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "water.take2.wav",
        "slot-0_a_b.wav",
        "slot-0_reply_a_b.wav",
        "slot-1_a.wav",
        "slot-1_a_b.mp3",
        "1_a_b.wav",
    ],
)
def test_a_stray_name_is_no_speech(name: str) -> None:
    """A file that nobody named after an utterance says nothing."""
    assert SpeechName.parse(name) is None


def test_the_three_waves_are_named_after_their_speech() -> None:
    """The names of waves are recognised, those of speech and of a fourth wave are not."""
    names = wave_names("slot-1_gpt_calm")

    assert names == tuple(f"slot-1_gpt_calm_v3_wave{number}.wav" for number in (1, 2, 3))
    assert all(map(is_wave_name, names))
    assert not any(map(is_wave_name, (*SPEECH, "a_v3_wave4.wav", "_v3_wave1.wav")))


def test_a_turn_is_known_by_its_directory() -> None:
    """Turns count from 1, and no other directory is one."""
    assert [1, 12] == [turn_index_of("turn_1"), turn_index_of("turn_12")]
    assert not any(map(turn_index_of, ("turn_0", "turn_01", "turn_", "turn_1a", "turns", "")))


def test_a_wave_says_its_profile() -> None:
    """Only of the speech that it is named after, and by V3 only one of three."""
    names = ("a_b_v3_wave3.wav", "a_b_slots_wave6.wav", "a_b_v3_wave4.wav", "a_b.wav")

    assert ["v3", "slots", None, None] == [profile_of(name, "a_b") for name in names]
    assert [None] * 4 == [profile_of(name, "a") for name in names]
