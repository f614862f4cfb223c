"""What `backend.tracking` tells: one frozen class for each thing that happens to a session."""

from dataclasses import dataclass

from backend.signals import TtsWritten, WorkDone, WorkFailed


@dataclass(frozen=True, slots=True)
class Missing:
    """An utterance of which nothing came, and why."""

    source: TtsWritten
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionExpected:
    """A session began; `median_s` is what utterances took lately from speech to files."""

    session_id: str
    slot_ids: tuple[int, ...]
    median_s: float | None


@dataclass(frozen=True, slots=True)
class UtteranceDone:
    """The files of one utterance are there; `waited_s` after its speech, if that was heard of."""

    outcome: WorkDone
    waited_s: float | None


@dataclass(frozen=True, slots=True)
class UtteranceMissing:
    """One utterance gets no files; `outcome` is the signal that said so, if one did."""

    missing: Missing
    outcome: WorkFailed | None


@dataclass(frozen=True, slots=True)
class Group:
    """Utterances that belong together, each done or missing."""

    session_id: str
    done: tuple[WorkDone, ...]
    """By turn and slot."""
    missing: tuple[Missing, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class TurnOver(Group):
    """Every utterance of a turn is done or missing."""

    turn_index: int


@dataclass(frozen=True, slots=True)
class DialogueOver(Group):
    """The comments on a slot that replied, and its reply, are done or missing."""

    slot_id: int


@dataclass(frozen=True, slots=True)
class SessionOver(Group):
    """Every utterance of a session is done or missing; nothing more is told of its groups."""


Followed = (
    SessionExpected | UtteranceDone | UtteranceMissing | TurnOver | DialogueOver | SessionOver
)
