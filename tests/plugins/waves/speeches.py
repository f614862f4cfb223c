"""Artifacts roots with speech for the tests of the backfill, and what must be true of its waves."""

import os
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from backend.storage import Artifacts
from plugins.waves.audio import pcm16
from plugins.waves.files import paths, publishing
from plugins.waves.jobs import Search, record

SR = 22_050


def speak(
    artifacts: Artifacts, name: str, *, session: str = "session-1", turn: int = 1, age_s: float = 60
) -> Path:
    """Write a short tone as an utterance that was spoken a while ago; return its path."""
    path = artifacts.turn("tts", session, turn) / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(SR // 2) / SR
    sf.write(path, 0.3 * np.sin(2 * np.pi * 150 * times), SR)
    set_age(path, age_s)
    return path


def set_age(path: Path, age_s: float) -> None:
    """Let `path` be changed last `age_s` seconds ago."""
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def left(artifacts: Artifacts) -> list[tuple[str, str]]:
    """Return what a new search finds: names and states."""
    return [(found.path.stem, found.state) for found in Search(artifacts).run()]


def entries(
    artifacts: Artifacts, files: tuple[publishing.PublishedFile, ...]
) -> tuple[record.WaveEntry, ...]:
    """Return published files as the record names them."""
    return tuple(
        record.WaveEntry(
            artifacts.relative(file.path),
            file.size,
            file.sha256,
            *pcm16.level(pcm16.decode(file.path.read_bytes())),
        )
        for file in files
    )


def check_all_whole(artifacts: Artifacts) -> int:
    """Check that every recording has its three whole waves, recorded, and that nothing else is.

    Returns how many recordings there are.
    """
    recordings = sorted(artifacts.sessions("tts").glob("*/turn_*/*.wav"))
    expected = {t for r in recordings for t in paths.session_targets(r, artifacts.root)}
    found = set(artifacts.sessions("waves").glob("*/turn_*/*"))
    assert expected == found
    recorded: list[str] = []
    for session in artifacts.sessions("tts").iterdir():
        for source, utterance in record.read(artifacts, session.name).items():
            assert utterance.status == "written", utterance
            recorded.append(source)
    assert sorted(recorded) == [artifacts.relative(recording) for recording in recordings]
    assert {sf.info(path).frames for path in found} <= {4000}
    assert [] == list(artifacts.temporary.iterdir())
    return len(recordings)
