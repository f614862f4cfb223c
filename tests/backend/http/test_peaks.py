"""The peaks of a recording: `GET /v1/audio/<path>?peaks=N`."""

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from tests.live import Answer, LiveServer, get

SESSION = "20261122T000000Z-00000001"
TURN = f"tts/sessions/{SESSION}/turn_1"
HEARD = f"stt/sessions/{SESSION}"


@pytest.fixture
def folder(root: Path) -> Path:
    """Return the directory that the WAVs of a test are written to."""
    path = root / TURN
    path.mkdir(parents=True, exist_ok=True)
    return path


def asked(server: LiveServer, name: str, count: Any, *headers: str) -> Answer:
    """Return the answer for the peaks of a WAV."""
    return get(server.port, f"/v1/audio/{TURN}/{name}?peaks={count}", *headers)


def peaks(server: LiveServer, name: str, count: Any) -> dict[str, Any]:
    """Return the peaks of a WAV."""
    with server.client() as client:
        answer = client.get(f"/v1/audio/{TURN}/{name}?peaks={count}")
    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("n_frames", "count"), [(8000, 7), (8000, 800), (700_001, 4000)])
def test_the_extremes_of_each_part_are_given(
    server: LiveServer, folder: Path, subtype: str, channels: int, n_frames: int, count: int
) -> None:
    """They are those of the samples, over all channels, whatever the kind of WAV."""
    y = np.random.default_rng(1).uniform(-0.9, 0.9, (n_frames, channels))
    sf.write(folder / "noise.wav", y, 16_000, subtype=subtype)
    y, _ = sf.read(folder / "noise.wav", always_2d=True)

    found = peaks(server, "noise.wav", count)

    edges = [n_frames * k // count for k in range(count + 1)]
    parts = [y[a:b] for a, b in pairwise(edges)]
    np.testing.assert_allclose(found["min"], [part.min() for part in parts], atol=5.1e-4)
    np.testing.assert_allclose(found["max"], [part.max() for part in parts], atol=5.1e-4)
    assert (round(n_frames / 16_000, 3), 16_000) == (found["durationS"], found["sampleRate"])
    assert all(value == round(value, 3) for value in found["min"] + found["max"])


@pytest.mark.parametrize("n_frames", [0, 1, 5])
def test_there_are_no_more_parts_than_samples(
    server: LiveServer, folder: Path, n_frames: int
) -> None:
    """A short recording has a peak for each sample, an empty one none."""
    y = np.arange(n_frames) / 10
    sf.write(folder / "short.wav", y, 8000, subtype="FLOAT")

    found = peaks(server, "short.wav", 800)

    assert [round(value, 3) for value in y] == found["min"] == found["max"]


def test_a_sample_that_is_no_number_is_zero(server: LiveServer, folder: Path) -> None:
    """The answer is JSON, which has neither infinity nor NaN."""
    sf.write(folder / "nan.wav", np.array([0.5, np.nan]), 8000, subtype="FLOAT")

    assert [0.5, 0.0] == peaks(server, "nan.wav", 2)["max"]


@pytest.mark.parametrize("count", ["0", "-1", "4001", "1.5", "x", "", "1e3"])
def test_a_wrong_number_is_refused(server: LiveServer, count: str) -> None:
    """It is from 1 to 4000, also where there is no such file."""
    assert 422 == asked(server, "none.wav", count).status


def test_a_file_that_is_not_there_has_no_peaks(server: LiveServer) -> None:
    """404, as without the question."""
    assert 404 == asked(server, "none.wav", 800).status


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF" + bytes(100),
        b"\x1aE\xdf\xa3 webm",
        b"RIFF" + struct.pack("<I4s4sIHHIIHHI", 36, b"WAVE", b"fmt ", 16, 1, 1, 1, 2, 2, 16, 0),
    ],
    ids=["empty", "zeros", "webm", "1 Hz"],
)
def test_what_is_no_wav_is_told_so(server: LiveServer, folder: Path, content: bytes) -> None:
    """415 says what is wrong with the file."""
    (folder / "other.wav").write_bytes(content)

    answer = asked(server, "other.wav", 800)

    assert (415, True) == (answer.status, b"Only a WAV has peaks: " in answer.body)


def test_a_recording_of_another_kind_has_none(server: LiveServer, root: Path) -> None:
    """A browser's webm is played, not drawn."""
    (root / HEARD).mkdir(parents=True, exist_ok=True)
    (root / HEARD / "input.webm").write_bytes(b"\x1aE\xdf\xa3")

    assert 415 == get(server.port, f"/v1/audio/{HEARD}/input.webm?peaks=800").status


def test_peaks_are_cached_as_the_sound_is(server: LiveServer, folder: Path) -> None:
    """A client that has them is told so; a range of them is not given."""
    sf.write(folder / "sound.wav", np.zeros(80), 8000, subtype="PCM_16")

    first = asked(server, "sound.wav", 4, "Range: bytes=0-1")
    again = asked(server, "sound.wav", 4, f"If-None-Match: {first.headers['etag']}")

    sound = get(server.port, f"/v1/audio/{TURN}/sound.wav").headers["cache-control"]
    assert (200, 304) == (first.status, again.status)
    assert {sound} == {answer.headers["cache-control"] for answer in (first, again)}
    assert first.body.startswith(b"{")
