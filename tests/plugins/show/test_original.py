"""The messages of the earlier version, made from events."""

from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import pytest

from backend.signals import TtsWritten
from backend.tracking import DialogueOver, Missing, SessionExpected, SessionOver, TurnOver
from plugins.mood.signals import MoodRead
from plugins.show.messages import HelloAck, HelloRefused, ProfileWave, Utterance, Wave
from plugins.show.original import message, write
from tests.simulated import KINDS, done, spoken

ROOT = PurePosixPath("/show/artifacts")


def utterance(turn_index: int, slot_id: int, root: PurePath = ROOT) -> Utterance:
    """Return an utterance with waves of a second."""
    turn = root / "waves" / "sessions" / "s" / f"turn_{turn_index}"
    waves = [
        Wave(
            wave=number,
            path=str(turn / f"{slot_id}_v3_wave{number}.wav"),
            url="http://a",
            duration_ms=1000,
            sample_rate=8000,
            frames=8000,
            peak=0.5,
            rms=0.25,
        )
        for number in (1, 2, 3)
    ]
    return Utterance(
        turn_index=turn_index,
        kind=KINDS[turn_index],
        slot_id=slot_id,
        target_slot_id=None,
        agent_id="gpt-4o",
        voice_profile="calm_soothing",
        audio_path="/a",
        audio_url="http://a",
        duration_ms=1000,
        waves=waves,
    )


def data(event: Any, *utterances: Utterance, root: PurePath = ROOT) -> dict[str, Any]:
    """Return the payload of an event's message."""
    made = message(event, utterances, root)
    assert made is not None
    return made.data()


def lost(source: TtsWritten) -> Missing:
    """Return an utterance without waves."""
    return Missing(source, "timeout", "")


def test_slots_without_waves_are_missing() -> None:
    """Turn 1 is partial if a slot of the session has none, also one whose agent said nothing."""
    event = TurnOver("s", (), (lost(spoken("s", 1, 2)),), 1, slot_ids=(1, 2, 3))

    told = data(event, utterance(1, 1))

    assert ("partial", 3, 1, [2, 3]) == (
        told["status"], told["slotsExpected"], told["slotsReady"], told["missingSlotIds"]
    )  # fmt: skip
    assert [1] == [one["slotId"] for one in told["slots"]]


@pytest.mark.parametrize(
    ("root", "absolute"),
    [
        (ROOT, "/show/artifacts/waves/sessions/s/turn_1/6_v3_wave2.wav"),
        (
            PureWindowsPath("C:\\show\\artifacts"),
            "C:\\show\\artifacts\\waves\\sessions\\s\\turn_1\\6_v3_wave2.wav",
        ),
    ],
    ids=["posix", "windows"],
)
def test_a_slot_plays_two_waves_its_own_and_in_the_next_one(root: PurePath, absolute: str) -> None:
    """Wave 2 of slot 6 goes to slot 1; paths are absolute, and relative with forward slashes."""
    (slot,) = data(TurnOver("s", (), (), 1, (6,)), utterance(1, 6, root), root=root)["slots"]

    assert (absolute, "waves/sessions/s/turn_1/6_v3_wave2.wav") == (
        slot["wave2PathAbs"], slot["wave2PathRel"]
    )  # fmt: skip
    assert (6, 1, 1000) == (
        slot["wave1TargetSlotId"], slot["wave2TargetSlotId"], slot["durationMs"]
    )  # fmt: skip
    assert slot["wave1PathAbs"].endswith("6_v3_wave1.wav")


def test_the_profile_slots_says_what_plays_where() -> None:
    """Its two waves are told instead of V3's, with the slots that they are made for."""
    plain = utterance(1, 3)
    told = {**dict(plain.waves[0]), "profile": "slots"}
    more = [
        ProfileWave(**{**told, "path": f"{ROOT}/3_slots_wave{n}.wav", "target_slot_id": n + 2})
        for n in (1, 2)
    ]

    (slot,) = data(
        TurnOver("s", (), (), 1, slot_ids=(3,)), plain.model_copy(update={"profile_waves": more})
    )["slots"]

    assert ("3_slots_wave1.wav", 3) == (slot["wave1PathRel"], slot["wave1TargetSlotId"])
    assert ("3_slots_wave2.wav", 4) == (slot["wave2PathRel"], slot["wave2TargetSlotId"])


def test_a_dialogue_needs_its_reply() -> None:
    """Comments come in order before the reply; if the reply has no waves, nothing is told."""
    event = DialogueOver("s", (), (), 4)
    comments = (utterance(2, 1), utterance(2, 2))

    told = data(event, *comments, utterance(3, 4))

    assert ("turn23-slot4", 4, [2, 3]) == (
        told["dialogueId"], told["targetSlotId"], list(told["turns"])
    )  # fmt: skip
    assert [("commenter", 1), ("commenter", 2), ("respondent", 4)] == [
        (part["role"], part["slotId"]) for part in told["playOrder"]
    ]
    assert ([1, 2], 4) == (
        [one["slotId"] for one in told["commenters"]], told["respondent"]["slotId"]
    )  # fmt: skip
    assert message(event, comments, ROOT) is None


def test_a_summary_plays_in_six_slots_or_has_failed() -> None:
    """Its three waves are for two slots each; without waves there is the text, if there is one."""
    source = spoken("s", 4, 0)
    ready = data(TurnOver("s", (done(source),), (), 4), utterance(4, 0))
    failed = data(TurnOver("s", (), (lost(source),), 4))
    silent = data(TurnOver("s", (), (), 4))

    waves = ready["waveInfo"]["waves"]
    assert ("complete", source.text) == (ready["status"], ready["text"])
    assert [(slot, f"0_v3_wave{(slot - 1) % 3 + 1}.wav") for slot in range(1, 7)] == [
        (wave["slotId"], PurePath(wave["wavePathAbs"]).name) for wave in waves
    ]
    assert {"status": "failed", "text": source.text, "waveInfo": None} == failed
    assert {"status": "failed", "text": "", "waveInfo": None} == silent


def test_nothing_else_is_told() -> None:
    """Other events have no message; a mood has; of messages for one client only `hello.ack`."""
    for event in (
        SessionExpected("s", (1,), None),
        TurnOver("s", (), (), 2),
        TurnOver("s", (), (), 3),
        SessionOver("s", (), ()),
    ):
        assert message(event, (), ROOT) is None
    assert {"sentiment": "negative", "justification": "sad"} == data(
        MoodRead("s", "negative", "sad", "word list")
    )
    ack = write(HelloAck(run="r", oldest=None, replayed=0), None, None, 7, "now")
    assert {"type", "server", "version"} == ack.keys()
    assert write(HelloRefused(reason=""), None, None, 7, "now") is None
