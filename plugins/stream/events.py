"""The event that this plugin adds to a session's events."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backend.signals import Kind

SLOT_WAVES = "slot.waves"


class SlotWaves(BaseModel):
    """The waves of one utterance: once for each `slot.audio`, in no fixed order.

    `files` are paths for `/v1/audio/<path>`; without files `reason` says why (`late`: they were not
    there in time).
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    session_id: str
    turn_index: int
    kind: Kind
    slot_id: int
    agent_id: str
    target_slot_id: int | None = None
    audio_path: str
    """The speech that the waves were made from."""
    files: tuple[str, ...] = ()
    duration_s: float | None = None
    sample_rate: int | None = None
    reason: str | None = None

    def data(self) -> str:
        """Return the JSON of the event's `data:` line, absent fields left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)
