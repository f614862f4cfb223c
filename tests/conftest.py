"""What all tests share: surroundings that hold no settings, and the project's own server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Each test process compiles librosa's functions for itself: cold processes that share numba's cache
# can leave a function in it that crashes every later process (numba/numba issue 10128).
os.environ["NUMBA_CACHE_DIR"] = str(
    Path(__file__).parents[1]
    / ".pytest_cache"
    / "numba"
    / os.environ.get("PYTEST_XDIST_WORKER", "main")
)

settings.register_profile("exploring", deadline=None)  # a busy machine is no defect
settings.register_profile(
    "repeatable", settings.get_profile("exploring"), derandomize=True, max_examples=40
)
settings.load_profile("repeatable")

pytest_plugins = ("tests.counts",)

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "ELEVENLABS_API_KEY")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many test processes there are: as cores; one more if most tests wait."""
    quick = "not e2e" in (config.option.markexpr or "")
    return (os.cpu_count() or 1) + (0 if quick else 1)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in a directory without `.env`, and without the developer's variables and keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith("RR_") or name.upper() in KEYS:
                patch.delenv(name)
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return where pyproject.toml stands."""
    return Path(__file__).parents[1]
