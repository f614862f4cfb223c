import pytest

from backend.agents.tokens import estimate_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("What does the water remember?", 8),
        ("水は何を覚えていますか", 11),
        ("Müll", 2),
        ("🌊", 1),
    ],
)
def test_the_estimate_counts_quarters_and_wholes(text: str, expected: int) -> None:
    """Four ASCII characters are a token, rounded up; any other character is one."""
    assert expected == estimate_tokens(text)
