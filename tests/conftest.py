"""What all tests share: surroundings that hold no settings, and the project's own server."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from backend import signals
from backend.logs.setup import NOISY, OWN, SILENT
from backend.speech import Spoken
from backend.speech.children import EmbeddedEngine
from backend.storage import write_bytes

# Each test process compiles librosa's functions for itself: cold processes that share numba's cache
# can leave a function in it that crashes every later process (numba/numba issue 10128).
os.environ["NUMBA_CACHE_DIR"] = str(
    Path(__file__).parents[1]
    / ".pytest_cache"
    / "numba"
    / os.environ.get("PYTEST_XDIST_WORKER", "main")
)

# A shell starts what it puts in the background with Ctrl-C ignored, and every child inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("exploring", deadline=None)  # a busy machine is no defect
settings.register_profile(
    "repeatable", settings.get_profile("exploring"), derandomize=True, max_examples=40
)
settings.load_profile("repeatable")

pytest_plugins = ("tests.counts", "backend.plugins.testing.fixtures")

KEYS = (
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "ELEVENLABS_API_KEY",
)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many test processes there are: two more than cores, since many tests wait."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in a directory without `.env`, and without the developer's variables and keys.

    Hearing is off, or each server would load its model; what tests it turns it on.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith("RR_") or name.upper() in KEYS:
                patch.delenv(name)
        patch.setenv("RR_STT_ENGINE", "none")
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signals_are_strict() -> Iterator[None]:
    """Let a payload of the wrong class be an error of the test that sends it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "strict", True)
        yield


@pytest.fixture(autouse=True)
def _log_is_left_as_it_was() -> Iterator[None]:
    """Fail a test that leaves the log set up: loggers keep that, and capture nothing later."""
    before = _log_setup()
    yield
    assert before == _log_setup(), "this test has changed the log for those after it"


def _log_setup() -> tuple[object, ...]:
    configuration = structlog.get_config()
    kept = [configuration[key] for key in ("wrapper_class", "logger_factory")]
    return (
        *kept,
        configuration["cache_logger_on_first_use"],
        *(logging.getLogger(name).level for name in ("", *OWN, *NOISY, *SILENT)),
    )


_spoken: dict[tuple[str, str], tuple[bytes, Spoken]] = {}


@pytest.fixture(scope="module")
def spoken_once() -> Iterator[None]:
    """Speak each text in each voice once: said again it is the same file, without a process."""
    speak = EmbeddedEngine.generate_wav_to_file

    def once(engine: EmbeddedEngine, text: str, voice_profile: str, path: Path) -> Spoken:
        key = text, voice_profile
        if key in _spoken:
            write_bytes(path, _spoken[key][0], engine.temporary)
        else:
            spoken = speak(engine, text, voice_profile, path)
            _spoken[key] = path.read_bytes(), spoken
        return _spoken[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedEngine, "generate_wav_to_file", once)
        yield


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return where pyproject.toml stands."""
    return Path(__file__).parents[1]
