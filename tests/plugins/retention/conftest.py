"""An artifacts root for the tests of retention."""

from pathlib import Path

import pytest

from backend.storage import Artifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return an artifacts root with nothing in it."""
    return Artifacts(tmp_path / "artifacts")
