"""The output types of a turn, whose descriptions the models read."""

import re
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from backend.agents.truncation import truncate
from backend.speech import DEFAULT_PROFILE, DESCRIPTIONS, PROFILES

SPOKEN_LIMIT = 400
"""Characters of a response, a reply or a summary."""
COMMENT_LIMIT = 200
"""Characters of a comment."""
VOICE_PROFILE_LIMIT = 40
"""Characters of a voice profile; it becomes part of a file name."""

_WORDLESS = re.compile(r"[\W_]*")
_NOT_IN_PROFILE_NAME = re.compile(r"[^a-z0-9]+")


def _spoken(limit: int) -> AfterValidator:
    """Return the validator of a text to be spoken: one line, with words in it, cut at `limit`."""

    def check(text: str) -> str:
        text = truncate(" ".join(text.split()), limit)
        if _WORDLESS.fullmatch(text):
            raise ValueError("say something: at least one word that can be spoken aloud")
        return text

    return AfterValidator(check)


def _profile_name(name: object) -> object:
    """Return a model's spelling of a voice profile (`Calm, soothing`) as a name.

    An unknown name passes: the speech engine uses the default profile and logs it.
    """
    if not isinstance(name, str):
        return name
    return (
        _NOT_IN_PROFILE_NAME.sub("_", name.lower()).strip("_")[:VOICE_PROFILE_LIMIT]
        or DEFAULT_PROFILE
    )


VoiceProfileName = Annotated[
    str,
    BeforeValidator(_profile_name),
    Field(
        description="The manner in which your words are spoken aloud. Choose the one that suits "
        "them: " + "; ".join(f"{profile} ({DESCRIPTIONS[profile]})" for profile in PROFILES) + ".",
        json_schema_extra={"enum": list(PROFILES)},
    ),
]
"""The schema names the six profiles; a model may return any name."""


class SpokenResponse(BaseModel):
    """What you say aloud, and how."""

    text: Annotated[
        str,
        _spoken(SPOKEN_LIMIT),
        Field(
            description="Your words, spoken aloud exactly as written: one to three short "
            "sentences of plain language, under 400 characters. No markdown, no emoji, no "
            "stage directions."
        ),
    ]
    voice_profile: VoiceProfileName
    target_slot_id: ClassVar[None] = None


class CommentSelection(BaseModel):
    """Which one of the other speakers you comment on, what you say to it, and how."""

    target_slot_id: Annotated[
        int,
        Field(
            description="The number of the one speaker you comment on, as given in its fence. "
            "Never your own number."
        ),
    ]
    comment: Annotated[
        str,
        _spoken(COMMENT_LIMIT),
        Field(
            description="Your words to that speaker, spoken aloud exactly as written: one or two "
            "short sentences of plain language, under 200 characters. Take up something it said. "
            "No markdown, no emoji, no stage directions."
        ),
    ]
    voice_profile: VoiceProfileName

    @property
    def text(self) -> str:
        """The words to be spoken."""
        return self.comment


OutputT = TypeVar("OutputT", SpokenResponse, CommentSelection)
JudgedT = TypeVar("JudgedT", bound=BaseModel)
