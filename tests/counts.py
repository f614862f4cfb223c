"""What a test run proves, as counts at its end: rows of the fault table, calls made to fail.

A test marked `faults` or `faults_slow` names the rows it covers in the first words of its
docstring: "F07: ...", "F01 F02: ..." or "F01-F06: ...". A slow one counts as `faults`, too, so
that `-m faults` runs every row; the default selection leaves it out.
"""

import re
from collections import Counter
from collections.abc import Iterable

import pytest

ROWS = tuple(f"F{number:02d}" for number in range(1, 36))

ROW_PROPERTY = "fault row"
FAILED_CALLS = "I/O-error sweep, failing calls"
CRASH_POINTS = "crash points"
COUNTED = (FAILED_CALLS, CRASH_POINTS)
"""Properties whose numbers are added up over all tests."""

_NAMED = re.compile(r"(?:F\d\d(?:\s*-\s*F\d\d)?[\s,]*)+:")
_ROW_OR_RANGE = re.compile(r"F(\d\d)(?:\s*-\s*F(\d\d))?")
_ASKED_FOR = re.compile(r"(?<!not )\bfaults(_slow)?\b")


def rows_of(docstring: str | None) -> tuple[str, ...]:
    """Return the rows that the first words of a docstring name."""
    named = _NAMED.match((docstring or "").strip())
    if named is None:
        return ()
    rows: list[str] = []
    for first, last in _ROW_OR_RANGE.findall(named.group()):
        rows += [f"F{number:02d}" for number in range(int(first), int(last or first) + 1)]
    return tuple(rows)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Attach the rows to the tests; before a selection by mark, let slow ones count as faults."""
    for item in items:
        if item.get_closest_marker("faults_slow"):
            item.add_marker("faults")
        if item.get_closest_marker("faults") and isinstance(item, pytest.Function):
            item.user_properties += [(ROW_PROPERTY, row) for row in rows_of(item.obj.__doc__)]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was covered, if rows of the fault table were asked for, and what was counted."""
    if config.option.collectonly:
        return
    stats = terminalreporter.stats
    failed = _reports(stats.get("failed", []) + stats.get("error", []))
    passed = _reports(stats.get("passed", []))
    if _ASKED_FOR.search(config.option.markexpr or ""):
        terminalreporter.write_line(
            fault_rows(_values(passed, ROW_PROPERTY), _values(failed, ROW_PROPERTY))
        )
    counted: Counter[str] = Counter()
    for report in passed:
        counted.update({name: int(str(n)) for name, n in report.user_properties if name in COUNTED})
    if counted:
        terminalreporter.write_line("; ".join(f"{name}: {n}" for name, n in counted.items()))


def fault_rows(passed: Iterable[str], failed: Iterable[str]) -> str:
    """Return the line about the fault table: rows with a passing test and no failing one."""
    wrong = sorted(set(failed))
    right = set(passed) - set(wrong)
    missing = [row for row in ROWS if row not in right and row not in wrong]
    words = [f"fault rows: {len(right & set(ROWS))} of {len(ROWS)}"]
    if wrong:
        words.append(f"failed: {', '.join(wrong)}")
    if missing:
        words.append(f"without a passing test: {', '.join(missing)}")
    return "; ".join(words)


def _reports(reports: list[object]) -> list[pytest.TestReport]:
    return [report for report in reports if isinstance(report, pytest.TestReport)]


def _values(reports: list[pytest.TestReport], name: str) -> list[str]:
    return [str(value) for r in reports for key, value in r.user_properties if key == name]
