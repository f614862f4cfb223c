"""The counts at the end of a run."""

import pytest

from tests.counts import ROWS, fault_rows, rows_of


@pytest.mark.parametrize(
    ("docstring", "rows"),
    [
        ("F07: an idle worker dies.", ("F07",)),
        ("F08 F09: a hang ends.", ("F08", "F09")),
        ("F08, F10: a hang ends.", ("F08", "F10")),
        ("F01-F03: a worker ends.", ("F01", "F02", "F03")),
        ("F01-F02 F35: a worker ends.", ("F01", "F02", "F35")),
        ("A rule, as in F07: none.", ()),
        ("F07 without a colon.", ()),
        (None, ()),
    ],
)
def test_rows_are_the_first_words(docstring: str | None, rows: tuple[str, ...]) -> None:
    """The rows that a test covers are those its docstring begins with."""
    assert rows_of(docstring) == rows


def test_every_row_passed() -> None:
    """With every row passed there is nothing to say but the number."""
    assert fault_rows(ROWS, ()) == "fault rows: 35 of 35"


def test_rows_that_fail_or_are_missing_are_named() -> None:
    """A row with a failing test is not covered; rows without a test are listed."""
    passed = [row for row in ROWS if row not in {"F03", "F31"}]

    line = fault_rows(passed, ["F02", "F02"])

    assert line == "fault rows: 32 of 35; failed: F02; without a passing test: F03, F31"
