"""The embedded engine, with real child processes."""

import os
import signal
import string
import sys
import wave
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import psutil
import pytest
from structlog.testing import capture_logs

from backend.errors import SpeechError
from backend.speech.children import EmbeddedEngine
from backend.speech.profiles import PROFILES, VoiceProfile
from tests.patience import SOON_S, until

SENTENCE = "Hello there, I am the water, and I have been listening to you."
INITIALS = "".join(string.ascii_lowercase[i * i % 29 % 26] + "." for i in range(290))
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """Every test ends without a child of this process that was not there before, zombie or not."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return the directory of unfinished files."""
    return tmp_path / ".tmp"


@pytest.fixture
def engine(temporary: Path) -> EmbeddedEngine:
    """Return an engine as the app makes it."""
    return EmbeddedEngine(temporary=temporary)


def saying(code: str, temporary: Path, timeout_s: float = 20) -> EmbeddedEngine:
    """Return an engine whose child process runs `code` instead."""
    command = (sys.executable, "-I", "-S", "-c", code)
    return EmbeddedEngine(temporary=temporary, timeout_s=timeout_s, command=command)


def refusal(engine: EmbeddedEngine, path: Path, text: str = SENTENCE) -> str:
    """Return why `engine` does not speak, having checked that nothing of it is left."""
    with pytest.raises(SpeechError) as caught:
        engine.generate_wav_to_file(text, "friendly_casual", path)
    assert not path.exists()
    assert not engine.temporary.exists() or list(engine.temporary.iterdir()) == []
    assert "water" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_speaks(
    profile: VoiceProfile, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """Each profile makes a mono 16-bit WAV at 22,050 Hz that is as long as speech and audible."""
    path = tmp_path / "turn_1" / f"{profile}.wav"

    spoken = engine.generate_wav_to_file(SENTENCE, profile, path)

    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 22_050)
        assert spoken.duration_s == file.getnframes() / 22_050
        y = array("h", file.readframes(file.getnframes()))
    rms = (sum(sample * sample for sample in y) / len(y)) ** 0.5 / 32_768
    assert 2 < spoken.duration_s < 6
    assert 0.05 < rms < 0.3


def test_rates_differ(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """The calm voice takes clearly longer for a sentence than the energetic one."""
    calm = engine.generate_wav_to_file(SENTENCE, "calm_soothing", tmp_path / "calm.wav")
    energetic = engine.generate_wav_to_file(SENTENCE, "energetic_upbeat", tmp_path / "quick.wav")

    assert calm.duration_s > 1.25 * energetic.duration_s


def test_longer_text_speaks_longer(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """The whole text is spoken, not its first clause."""
    one = engine.generate_wav_to_file("Water.", "friendly_casual", tmp_path / "one.wav")
    many = engine.generate_wav_to_file(SENTENCE, "friendly_casual", tmp_path / "many.wav")

    assert many.duration_s > 3 * one.duration_s


def test_an_unknown_profile_speaks_as_the_default(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """An unknown profile is spoken as friendly_casual, and one warning names it."""
    known = engine.generate_wav_to_file(SENTENCE, "friendly_casual", tmp_path / "known.wav")

    with capture_logs() as logs:
        unknown = engine.generate_wav_to_file(SENTENCE, "robot", tmp_path / "unknown.wav")

    assert unknown.duration_s == pytest.approx(known.duration_s, abs=0.01)
    assert [(log["log_level"], log["voice_profile"]) for log in logs] == [("warning", "robot")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("s'" * 80, id="stacked possessives"),
        pytest.param("a." * 300, id="stacked initials"),
        pytest.param("water " * 1_000, id="5,000 characters"),
        pytest.param("w" * 5_000, id="one word of 5,000"),
        pytest.param("\x01\x02\x1b[31mred\x07", id="control characters"),
        pytest.param("be\x00fore", id="NUL"),
        pytest.param("\u202e\u05e9\u05dc\u05dd\u202c \u05d0\u05d1", id="right to left"),
        pytest.param("a\ud800b\udc00", id="unpaired surrogates"),
        pytest.param("[[h@l'oU]] \\x01 %s %n {0}", id="phonemes and formats"),
        pytest.param("flow 🌊 on", id="emoji among words"),
    ],
)
def test_hostile_text_is_spoken(text: str, engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Hostile text with a word in it is spoken in reasonable time."""
    spoken = engine.generate_wav_to_file(text, "friendly_casual", tmp_path / "a.wav")

    assert 0.2 < spoken.duration_s < 60


@pytest.mark.parametrize("text", ["🌊🌊🌊", "?!…—", "\x00\x01\x1b", "\ud800", ""])
def test_unspeakable_text_is_refused(text: str, engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Text without a letter or digit is refused before any child process starts."""
    assert "nothing in the text can be spoken" in refusal(engine, tmp_path / "a.wav", text)


def test_ssml_is_text(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Markup is read out or skipped, never obeyed: a break of 50 s does not pause for 50 s."""
    text = '<speak>one <break time="50s"/> two</speak>'

    spoken = engine.generate_wav_to_file(text, "friendly_casual", tmp_path / "a.wav")

    assert spoken.duration_s < 20


@pytest.mark.e2e
def test_speech_ends_at_two_minutes(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """A script that is spelt out is cut at 120 s of audio, with a warning."""
    text = "".join(chr(0x4E00 + i) for i in range(600))

    with capture_logs() as logs:
        spoken = engine.generate_wav_to_file(text, "friendly_casual", tmp_path / "a.wav")

    assert 120 <= spoken.duration_s < 120.1
    assert [(log["log_level"], log["duration_s"]) for log in logs] == [("warning", 120)]
    assert text[:10] not in str(logs)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="where the overflow is caught differs")
def test_text_that_kills_the_engine(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Text that overflows espeak-ng kills one child; the next utterance is spoken."""
    assert "was ended by SIG" in refusal(engine, tmp_path / "a.wav", INITIALS)

    assert engine.generate_wav_to_file(SENTENCE, "calm_soothing", tmp_path / "b.wav").duration_s > 2


def test_a_hanging_child_is_killed(temporary: Path, tmp_path: Path) -> None:
    """A child that hangs is killed at the time limit, which the message names."""
    engine = saying("import time; time.sleep(600)", temporary, timeout_s=0.4)
    started = monotonic()

    reason = refusal(engine, tmp_path / "a.wav")

    assert "longer than 0.4 s and was killed" in reason
    assert monotonic() - started < SOON_S


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_signal_is_named(name: str, temporary: Path, tmp_path: Path) -> None:
    """A child that dies by a signal is reported with the signal's name."""
    code = f"import os; os.kill(os.getpid(), {int(signal.Signals[name])})"

    assert f"ended by {name}" in refusal(saying(code, temporary), tmp_path / "a.wav")


@posix
def test_a_signal_without_a_name(temporary: Path, tmp_path: Path) -> None:
    """A real-time signal, which has no name, is reported by its number."""
    code = "import os; os.kill(os.getpid(), 40)"

    assert "ended by signal 40" in refusal(saying(code, temporary), tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit(7)", "exit code 7"),
        ("raise RuntimeError('water')", "exit code 1"),
        ("pass", "sent 0 bytes, not the None it announced"),
        ("print('hello'); print('water')", "not the None it announced"),
        ("print('[]')", "not the None it announced"),
        ("print('{\"n_bytes\": 8}'); print('abc')", "sent 4 bytes, not the 8"),
        (
            "print('{\"n_bytes\": 3, \"sample_rate\": 22050}', end='\\nabc')",
            "half a sample at the end of 3 bytes",
        ),
        ("print('{\"n_bytes\": 2, \"sample_rate\": 22050}', end='\\n\\0\\0')", "made no sound"),
        ('print(\'{"n_bytes": 0, "sample_rate": 1}\')', "speaks at 1 Hz"),
        ("print('{\"n_bytes\": 2}', end='\\nab'); raise SystemExit(3)", "exit code 3"),
        ('print(\'{"error": "no voice"}\'); raise SystemExit(1)', "failed: no voice"),
    ],
)
def test_a_broken_answer(code: str, reason: str, temporary: Path, tmp_path: Path) -> None:
    """A child that fails, stops half-way or answers nonsense is never taken for done."""
    assert reason in refusal(saying(code, temporary), tmp_path / "a.wav")


def test_a_child_that_cannot_start(temporary: Path, tmp_path: Path) -> None:
    """A command that is not there is a SpeechError with the system's reason."""
    engine = EmbeddedEngine(temporary=temporary, command=(str(tmp_path / "nothing"),))

    assert "could not be started" in refusal(engine, tmp_path / "a.wav")


@posix
def test_ctrl_c_does_not_reach_the_child(temporary: Path, tmp_path: Path) -> None:
    """The child is deaf to the terminal's Ctrl-C from its first moment; its parent is not."""
    code = (
        "import os, signal; os.kill(os.getpid(), signal.SIGINT); "
        'print(\'{"error": "still there"}\')'
    )

    assert "still there" in refusal(saying(code, temporary), tmp_path / "a.wav")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@posix
def test_the_child_stays_in_the_session(temporary: Path, tmp_path: Path) -> None:
    """The child shares its parent's session, or niceness would not count between voice and waves.

    See sched(7), "The autogroup feature".
    """
    code = 'import os; print(\'{"error": "in session %d"}\' % os.getsid(0))'

    assert f"in session {os.getsid(0)}" in refusal(saying(code, temporary), tmp_path / "a.wav")


def test_the_text_is_on_stdin_only(temporary: Path, tmp_path: Path) -> None:
    """The child's arguments and environment hold nothing of the text; stdin does."""
    code = (
        "import sys, os, json; seen = json.dumps([sys.argv, dict(os.environ)]); "
        "found = ['listening' in seen, 'listening' in sys.stdin.read()]; "
        "print(json.dumps({'error': str(found)}))"
    )

    assert "[False, True]" in refusal(saying(code, temporary), tmp_path / "a.wav")


@pytest.mark.e2e
def test_six_at_once(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Six slots speak at once from six threads, each as long as it does alone."""
    alone = {
        profile: engine.generate_wav_to_file(SENTENCE, profile, tmp_path / "a.wav").duration_s
        for profile in PROFILES
    }

    with ThreadPoolExecutor(6) as pool:
        together = pool.map(
            lambda profile: engine.generate_wav_to_file(
                SENTENCE, profile, tmp_path / f"{profile}.wav"
            ),
            PROFILES,
        )

    assert [spoken.duration_s for spoken in together] == pytest.approx(
        list(alone.values()), abs=0.01
    )


def test_a_second_utterance_replaces_the_first(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """An utterance written to the same path replaces the file; a failed one leaves it alone."""
    path = tmp_path / "a.wav"
    engine.generate_wav_to_file("Water.", "friendly_casual", path)
    engine.generate_wav_to_file(SENTENCE, "friendly_casual", path)
    whole = path.read_bytes()

    with pytest.raises(SpeechError):
        engine.generate_wav_to_file("🌊", "friendly_casual", path)

    assert len(whole) > 2 * 22_050 * 2
    assert path.read_bytes() == whole


def test_closing_ends_a_hanging_voice(temporary: Path, tmp_path: Path) -> None:
    """Closed by another thread, an utterance that hangs ends at once; later ones are refused."""
    beacon = tmp_path / "started"
    code = f"open({str(beacon)!r}, 'w'); import time; time.sleep(600)"
    engine = saying(code, temporary, timeout_s=3 * SOON_S)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(refusal, engine, tmp_path / "a.wav")
        until(lambda: beacon.exists() or hanging.done(), "the voice hangs")
        assert not hanging.done()
        started = monotonic()
        engine.close()
        reason = hanging.result(SOON_S)

    assert "the embedded voice was stopped with the installation" == reason
    assert monotonic() - started < SOON_S
    assert reason == refusal(engine, tmp_path / "b.wav")
