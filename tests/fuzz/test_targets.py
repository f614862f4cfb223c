"""The targets of the fuzzer take what is kept, and what was once a defect, and see a new one."""

from pathlib import Path

import pytest

from backend.storage import riff
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
KEPT = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_taken(name: str) -> None:
    """Every file of the corpus, each part of it, and each with one byte changed."""
    contents = (CORPUS / name).read_bytes()
    target = TARGETS[name.partition("/")[0]]
    step = max(1, len(contents) // 20)

    target(contents)
    for at in range(0, len(contents), step):
        target(contents[:at])
        target(contents[:at] + bytes([contents[at] ^ 0xFF]) + contents[at + 1 :])


def test_every_target_has_a_corpus() -> None:
    """Each begins with something that reaches its code."""
    assert TARGETS.keys() == {name.partition("/")[0] for name in KEPT}


def test_a_defect_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that counts one frame too many does not pass."""
    header = riff.read_header

    def wrong(*given: object) -> riff.Header:
        found = header(*given)  # type: ignore[arg-type]  # passed on
        return riff.Header(found.rate, 1, "PCM_16", found.frames + 1, 44, found.data_size, ())

    monkeypatch.setattr(riff, "read_header", wrong)
    with pytest.raises(AssertionError):
        TARGETS["wav"]((CORPUS / "wav/plain").read_bytes())
