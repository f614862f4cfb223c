"""The signals of the waves plugin."""

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from backend.signals import EVENT_LOOP, TtsWritten, WorkDone, WorkFailed, define
from backend.tracking.payloads import from_plain, to_json
from plugins.waves.signals import (
    Reason,
    WavesFailed,
    WavesWritten,
    outcomes,
    waves_failed,
    waves_written,
)
from tests.simulated import done, with_slots

SOURCE = TtsWritten(
    "s", 1, "response", 1, "a", "v", None, Path("a.wav"), "a.wav", datetime.now(UTC)
)


def test_the_outcomes_are_the_two_signals_of_the_bus() -> None:
    """A rehearsal finds done and failed, in this order, on the host's bus."""
    assert outcomes == (waves_written, waves_failed)
    assert define("waves_written", "") is waves_written


def test_payloads_are_what_the_contract_asks() -> None:
    """Both payloads derive from the contract's, and cannot be changed."""
    written = done(SOURCE)
    failed = WavesFailed(SOURCE, "timeout", "no answer", 1.0, 2.0)

    assert isinstance(written, WorkDone)
    assert isinstance(failed, WorkFailed)
    with pytest.raises(FrozenInstanceError):
        failed.reason = "error"  # type: ignore[misc]  # that is what must fail


def test_each_signal_says_where_and_with_what_it_is_sent() -> None:
    """The definition of a signal names its payload and its thread."""
    for signal, payload in ((waves_written, WavesWritten), (waves_failed, WavesFailed)):
        assert (signal.payload, signal.thread) == (payload, EVENT_LOOP)


def test_reasons_are_distinct_words() -> None:
    """Each reason is one word for programs."""
    reasons = get_args(Reason)

    assert len(reasons) == len(set(reasons))
    assert all(reason.isidentifier() for reason in reasons)


def test_a_recording_of_before_the_sets_is_read(tmp_path: Path) -> None:
    """Its waves are V3's; what is sent now is read with all its sets."""
    source = replace(SOURCE, wav_path=tmp_path / "a.wav")
    event = done(source, tuple(tmp_path / f"a_v3_wave{n}.wav" for n in (1, 2, 3)))
    earlier = json.loads(to_json(event, tmp_path))
    del earlier["sets"]
    both = with_slots(event)

    first = from_plain(WavesWritten, earlier, tmp_path)

    assert event == first
    assert ("v3", event.files, event.peaks, event.rmse) == (
        first.sets[0].profile, first.sets[0].files, first.sets[0].peaks, first.sets[0].rmse
    )  # fmt: skip
    assert both == from_plain(WavesWritten, json.loads(to_json(both, tmp_path)), tmp_path)
