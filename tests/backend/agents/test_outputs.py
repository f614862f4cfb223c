import pytest
from pydantic import ValidationError

from backend.agents import CommentSelection, SpokenResponse
from backend.speech import PROFILES


def test_a_response_is_cut_at_400_characters() -> None:
    """A text beyond 400 characters ends at a sentence within them."""
    spoken = SpokenResponse(text="Water moves slowly here. " * 40, voice_profile="calm_soothing")

    assert 350 < len(spoken.text) <= 400
    assert spoken.text.endswith("here.")


def test_a_comment_is_cut_at_200_characters() -> None:
    """A comment beyond 200 characters ends at a sentence within them."""
    selection = CommentSelection(
        target_slot_id=2, comment="Water moves slowly. " * 40, voice_profile="calm_soothing"
    )

    assert 150 < len(selection.comment) <= 200
    assert selection.comment.endswith("slowly.")


def test_a_text_is_one_line() -> None:
    """Line breaks and runs of blanks become single blanks."""
    spoken = SpokenResponse(text=" One\n\n  two\tthree ", voice_profile="calm_soothing")

    assert spoken.text == "One two three"


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "\U0001f30a", "_*_"])
def test_a_text_without_words_is_refused(text: str) -> None:
    """What cannot be spoken is not an answer."""
    with pytest.raises(ValidationError, match="at least one word"):
        SpokenResponse(text=text, voice_profile="calm_soothing")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("calm_soothing", "calm_soothing"),
        ("Calm Soothing", "calm_soothing"),
        ("calm-soothing", "calm_soothing"),
        ("baritone", "baritone"),
        ("../../etc/passwd", "etc_passwd"),
        ("", "friendly_casual"),
        ("\U0001f30a", "friendly_casual"),
        ("x" * 99, "x" * 40),
    ],
)
def test_a_voice_profile_is_a_name_even_if_nobody_knows_it(given: str, expected: str) -> None:
    """An unknown profile passes as a name that is safe in a file name."""
    assert expected == SpokenResponse(text="Yes.", voice_profile=given).voice_profile


@pytest.mark.parametrize("output", [SpokenResponse, CommentSelection])
def test_the_schema_tells_a_model_everything_it_must_know(
    output: type[SpokenResponse] | type[CommentSelection],
) -> None:
    """Every field is required and described, and the six profiles are enumerated."""
    schema = output.model_json_schema()

    assert set(schema["required"]) == set(schema["properties"])
    assert all(field["description"] for field in schema["properties"].values())
    assert schema["properties"]["voice_profile"]["enum"] == list(PROFILES)
    assert all(
        profile in schema["properties"]["voice_profile"]["description"] for profile in PROFILES
    )
