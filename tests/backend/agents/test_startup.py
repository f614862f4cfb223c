"""What a start imports: the library of each provider that is configured, and no other."""

import pytest

from tests.benchmarks.providers import CASES, start


@pytest.mark.parametrize("case", [case for case in CASES if case != "all"])
def test_a_start_imports_no_provider_that_is_not_configured(case: str) -> None:
    """A provider's library is in the process if, and only if, its key is there."""
    assert sorted(CASES[case]) == start(CASES[case]).loaded
