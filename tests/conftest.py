"""What all tests share: surroundings that hold no settings, and the project's own server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "ELEVENLABS_API_KEY")


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
