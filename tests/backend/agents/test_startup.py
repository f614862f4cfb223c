"""What a start imports: the libraries of the providers that are configured, and no others."""

import pytest

from tests.benchmarks.providers import CASES, start

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("case", [case for case in CASES if case != "all"])
def test_a_start_imports_no_provider_that_is_not_configured(case: str) -> None:
    """A provider's library is loaded if its key is there, and pydantic-ai if any key is."""
    expected = [*CASES[case], "pydantic-ai"] if CASES[case] else []
    assert sorted(expected) == start(CASES[case]).loaded
