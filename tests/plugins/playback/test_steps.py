"""What is played together, and in which order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from structlog.testing import capture_logs

from backend.tracking import DialogueOver, SessionExpected, SessionOver, TurnOver
from plugins.playback.dishes import BUILT_IN, Dishes, load_dishes
from plugins.playback.steps import Order, load
from plugins.waves.signals import WaveSet, WavesWritten
from tests.simulated import done, spoken, write_waves

FIRST = tuple(done(spoken("s", 1, slot_id)) for slot_id in (1, 2, 3))
COMMENTS = tuple(done(spoken("s", 2, slot_id, 1)) for slot_id in (2, 3))
REPLY = done(spoken("s", 3, 1))
DIALOGUE = DialogueOver("s", (*COMMENTS, REPLY), (), 1)
SUMMARY = done(spoken("s", 4, 0))


def steps(*events: Any) -> list[tuple[WavesWritten, ...]]:
    order = Order()
    return [step for event in events for step in order.steps(event)]  # type: ignore[misc]


def test_turn_1_is_together_and_a_dialogue_one_after_the_other() -> None:
    """The summary comes last; the other turns and the end play nothing of their own."""
    assert [FIRST, (COMMENTS[0],), (COMMENTS[1],), (REPLY,), (SUMMARY,)] == steps(
        SessionExpected("s", (1, 2, 3), None, 4),
        TurnOver("s", FIRST, (), 1),
        TurnOver("s", COMMENTS, (), 2),
        DIALOGUE,
        TurnOver("s", (REPLY,), (), 3),
        TurnOver("s", (SUMMARY,), (), 4),
        SessionOver("s", (*FIRST, *COMMENTS, REPLY), ()),
    )


def test_a_dialogue_waits_for_turn_1_of_its_session() -> None:
    """Waves of turn 1 may be the last that are made; another session waits for nothing of that."""
    other = DialogueOver("t", (REPLY,), (), 1)

    assert [(REPLY,), FIRST, (COMMENTS[0],), (COMMENTS[1],), (REPLY,)] == steps(
        SessionExpected("s", (1, 2, 3), None),
        SessionExpected("t", (1,), None),
        DIALOGUE,
        TurnOver("t", (), (), 1),
        other,
        TurnOver("s", FIRST, (), 1),
    )[1:]


def test_a_dialogue_of_a_session_that_ended_without_turn_1_is_dropped() -> None:
    """Nothing of it is kept."""
    order = Order()
    for event in (SessionExpected("s", (1,), None), DIALOGUE, SessionOver("s", (), ())):
        assert [] == order.steps(event)

    assert not order._held


def test_every_file_goes_where_the_matrix_says(tmp_path: Path) -> None:
    """Waves of a profile go to the dish that they are made for, speech to its own channels."""
    toml = tmp_path / "dishes.toml"
    toml.write_text(
        """
[[channel]]
name = "a"
level_db = 0
plays = ["slot 1 wave 2", "slot 1 speech"]
[[channel]]
name = "b"
level_db = 0
plays = ["slot 2 slots", "slot 1 faraday wave 1"]
""",
        "utf-8",
    )
    source = spoken("s", 1, 1, root=tmp_path)
    soundfile_at(source.wav_path, 24_000, 0.5)
    files = write_waves(source, tmp_path)
    made = []
    for profile, targets in {"slots": (1, 2), "faraday": (0,)}.items():
        paths = tuple(tmp_path / f"{profile}{n}.wav" for n, _ in enumerate(targets))
        for path in paths:
            soundfile_at(path, 8000, 0.25)
        made.append(WaveSet(profile, paths, targets))
    plain = done(source, files)
    outcome = replace(plain, sets=(*plain.sets, *made))

    tracks = load((outcome,), load_dishes(toml), 48_000)

    assert [((0, 1.0),), ((0, 1.0),), ((1, 1.0),), ((1, 1.0),)] == [one.gains for one in tracks]
    assert [48_000, 4800, 48_000, 48_000] == [one.samples.size for one in tracks]
    levels = [float(one.samples[2400]) for one in tracks]
    assert pytest.approx([0.5, 2 / 32_768, 0.25, 0.25], rel=1e-3) == levels


def soundfile_at(path: Path, rate: int, level: float) -> None:
    """Write a second of a constant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(rate, level), rate)


def test_a_summary_is_in_every_dish(tmp_path: Path) -> None:
    """It is of slot 0, for all six."""
    source = spoken("s", 4, 0, root=tmp_path)
    tracks = load((done(source, write_waves(source, tmp_path)),), BUILT_IN, 8000)

    assert [[0, 1, 2, 3, 4, 5]] * 3 == [[index for index, _ in one.gains] for one in tracks]


def test_a_file_that_is_gone_or_broken_is_left_out_with_a_word(tmp_path: Path) -> None:
    """The others are played."""
    source = spoken("s", 1, 1, root=tmp_path)
    files = write_waves(source, tmp_path)
    files[0].unlink()
    files[1].write_bytes(b"RIFF")

    with capture_logs() as logs:
        tracks = load((done(source, files),), BUILT_IN, 48_000)

    assert 1 == len(tracks)
    assert [files[0].name, files[1].name] == [entry["file"] for entry in logs]
    assert "there is no such file" == logs[0]["error"] != logs[1]["error"]


def test_files_that_no_channel_plays_are_not_read(tmp_path: Path) -> None:
    """They may be gone."""
    source = spoken("s", 1, 6, root=tmp_path)

    with capture_logs() as logs:
        assert [] == load(
            (done(source, (tmp_path / "none",)),), Dishes(BUILT_IN.channels[:5]), 8000
        )

    assert [] == logs
