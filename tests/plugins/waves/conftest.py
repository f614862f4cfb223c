"""What the tests of the waves share: speech, and gates for jobs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests import stored
from tests.plugins.waves.pool.pools import Gate, GateMaker
from tests.speech import speak


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Return thirty utterances: every line in every voice."""
    return speak(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def utterances() -> list[npt.NDArray[np.float32]]:
    """Return one utterance per voice, mono float32 at 8000 Hz, the same in every run."""
    return stored.speech()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[GateMaker]:
    """Make gates that are closed at the end."""
    made: list[Gate] = []

    def make(name: str) -> Gate:
        made.append(Gate(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        one.close()
