"""The events of a tracked session, one frozen class each."""

from dataclasses import dataclass

from backend.signals import TtsWritten, WorkDone, WorkFailed


@dataclass(frozen=True, slots=True)
class Missing:
    """An utterance without files, and why."""

    source: TtsWritten
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionExpected:
    """A session has started; `median_s` is the recent median time from speech to files."""

    session_id: str
    slot_ids: tuple[int, ...]
    median_s: float | None
    turns: int = 3


@dataclass(frozen=True, slots=True)
class UtteranceDone:
    """One utterance has its files; `waited_s` after its speech, if that is known."""

    outcome: WorkDone
    waited_s: float | None
    first: bool = True
    """False if the utterance had an outcome before."""


@dataclass(frozen=True, slots=True)
class UtteranceMissing:
    """One utterance gets no files; `outcome` is the signal that said so, if one did."""

    missing: Missing
    outcome: WorkFailed | None
    first: bool = True
    """False if the utterance had an outcome before."""


@dataclass(frozen=True, slots=True)
class Group:
    """Utterances that belong together, by turn and slot, each done or missing."""

    session_id: str
    done: tuple[WorkDone, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class TurnOver(Group):
    """Each utterance of a turn is done or missing; `slot_ids` are those of the session."""

    turn_index: int
    slot_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DialogueOver(Group):
    """The comments on a slot and its reply are done or missing."""

    slot_id: int


@dataclass(frozen=True, slots=True)
class SessionOver(Group):
    """Each utterance of a session is done or missing; the session is no longer tracked."""


TrackedEvent = (
    SessionExpected | UtteranceDone | UtteranceMissing | TurnOver | DialogueOver | SessionOver
)
