"""The audit of the packages: a weakness fails it, a network that is away does not."""

import json
from pathlib import Path

from tests.audit import judge


def test_a_known_weakness_is_named(tmp_path: Path) -> None:
    """With its package, and the version that mends it; packages that were skipped are counted."""
    vulns = [{"id": "PYSEC-1", "fix_versions": ["1.1"]}, {"id": "PYSEC-2", "fix_versions": []}]
    packages = [
        {"name": "tide", "version": "1.0", "vulns": vulns},
        {"name": "moon", "version": "2.0", "vulns": []},
        {"name": "sand", "skip_reason": "not found"},
    ]
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"dependencies": packages}))

    assert judge(report) == (
        ["tide 1.0: PYSEC-1, mended in 1.1", "tide 1.0: PYSEC-2, mended in no version"],
        "2 of 3 packages audited, 2 weaknesses",
    )


def test_without_the_database_it_says_so(tmp_path: Path) -> None:
    """A report that is missing, broken or of skipped packages alone is no failure, but is told."""
    report = tmp_path / "report.json"
    skipped = json.dumps({"dependencies": [{"name": "sand", "skip_reason": "not found"}]})

    for written in (None, "", "{}", skipped):
        if written is not None:
            report.write_text(written)

        known, said = judge(report)

        assert [] == known
        assert said.startswith("NOT AUDITED")
