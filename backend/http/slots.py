"""Which agent speaks from which slot: `/v1/slots`, kept in a file over restarts."""

import json
import threading
from http import HTTPStatus
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, Field

from backend.agents import Agents, Registry, Slot
from backend.http import problems
from backend.http.models import CamelCase
from backend.http.problems import FieldProblem, ProblemError
from backend.storage import Artifacts, write_bytes

log = structlog.get_logger(__name__)

SLOTS = 6
SLOTS_FILE = "slots.json"
"""Below the artifacts root; it holds the body of the latest `PUT /v1/slots`."""


class SlotChoice(CamelCase):
    """Which agent speaks from which speaker."""

    slot_id: int = Field(ge=1, le=SLOTS, strict=True)
    agent_id: str = Field(min_length=1, max_length=100)


def _are_distinct(slots: list[SlotChoice]) -> list[SlotChoice]:
    if len({slot.slot_id for slot in slots}) < len(slots):
        raise ValueError("each slotId may be given once")
    return slots


SlotChoices = Annotated[
    list[SlotChoice], Field(min_length=1, max_length=SLOTS), AfterValidator(_are_distinct)
]


class SlotsRequest(BaseModel):
    """The slots that have an agent; the others are silent."""

    slots: SlotChoices


class SlotInfo(CamelCase):
    """A slot and the agent that speaks from it."""

    slot_id: int
    agent_id: str
    name: str
    color: str
    description: str


class SlotList(BaseModel):
    """The arrangement, in the order of slots."""

    slots: list[SlotInfo]


class Message(BaseModel):
    """One side of an exchange: the prompt in its short form, or the agent's answer."""

    role: Literal["user", "assistant"]
    text: str


class Memory(BaseModel):
    """What the agent of a slot remembers, oldest first."""

    messages: list[Message]


class Arrangement:
    """The slots of a session that names none; at first the first agents, in their order."""

    def __init__(self, artifacts: Artifacts, registry: Registry) -> None:
        self._artifacts = artifacts
        self._registry = registry
        self._saving = threading.Lock()
        self.slots = self._load()

    def save(self, slots: list[Slot]) -> None:
        """Write the file, then use `slots`; or raise OSError and change nothing."""
        slots = sorted(slots, key=lambda slot: slot.slot_id)
        rows = [{"slotId": slot.slot_id, "agentId": slot.agent_id} for slot in slots]
        content = json.dumps({"slots": rows}, indent=2).encode() + b"\n"
        with self._saving:
            path = self._artifacts.root / SLOTS_FILE
            write_bytes(path, content, self._artifacts.temporary)
            self.slots = slots

    def _load(self) -> list[Slot]:
        path = self._artifacts.root / SLOTS_FILE
        try:
            saved = SlotsRequest.model_validate_json(path.read_bytes()).slots
        except FileNotFoundError:
            return self._default()
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
        else:
            unknown = unknown_agents(saved, self._registry)
            if not unknown:
                return as_slots(saved)
            reason = f"{unknown[0].field}: {unknown[0].message}"
        log.warning(
            "the saved slots cannot be used; the first agents speak from slot 1 on: "
            "arrange them anew",
            path=str(path),
            reason=reason,
        )
        return self._default()

    def _default(self) -> list[Slot]:
        return [Slot(number, id_) for number, id_ in enumerate(self._registry.ids[:SLOTS], start=1)]


def unknown_agents(slots: list[SlotChoice], registry: Registry) -> list[FieldProblem]:
    """Return a problem for each slot whose agent is not in the registry."""
    return [
        FieldProblem(
            field=f"slots.{index}.agentId",
            message=f"no such agent; the agents are {', '.join(registry.ids)}",
        )
        for index, slot in enumerate(slots)
        if slot.agent_id not in registry
    ]


def known_slots(slots: list[SlotChoice], registry: Registry) -> list[Slot]:
    """Return the slots of a request, or raise ProblemError for an unknown agent."""
    if errors := unknown_agents(slots, registry):
        raise problems.wrong(errors)
    return as_slots(slots)


def as_slots(slots: list[SlotChoice]) -> list[Slot]:
    """Return the slots as the workflow takes them, in their order."""
    return [Slot(slot.slot_id, slot.agent_id) for slot in slots]


def slots_router(arrangement: Arrangement, agents: Agents) -> APIRouter:
    """Return the routes of `/v1/slots`."""
    router = APIRouter(tags=["agents"])
    registry = agents.registry

    def listed() -> SlotList:
        placed = [(slot.slot_id, registry.get(slot.agent_id)) for slot in arrangement.slots]
        return SlotList(
            slots=[
                SlotInfo(
                    slot_id=slot_id,
                    agent_id=agent.id,
                    name=agent.name,
                    color=agent.color,
                    description=agent.description,
                )
                for slot_id, agent in placed
            ]
        )

    @router.get("/v1/slots")
    async def slots() -> SlotList:
        """List which agent speaks from which slot where a session does not say it."""
        return listed()

    @router.put("/v1/slots", responses=problems.responses(400, 408, 413, 415, 422, 503))
    def arrange(request: SlotsRequest) -> SlotList:
        """Change which agent speaks from which slot, from the next session on."""
        slots = known_slots(request.slots, registry)
        try:
            arrangement.save(slots)
        except OSError as error:
            log.error("the slots cannot be saved", error=str(error))
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The slots could not be saved: {error.strerror}. They are as before.",
            ) from error
        return listed()

    @router.get("/v1/slots/{slotId}/memory", responses=problems.responses(422))
    async def memory(slot_id: Annotated[int, Path(alias="slotId", ge=1, le=SLOTS)]) -> Memory:
        """Return what the agent of a slot remembers of earlier visits, until a reset."""
        messages: list[Message] = []
        for slot in arrangement.slots:
            if slot.slot_id == slot_id:
                for exchange in agents.memory(slot):
                    messages.append(Message(role="user", text=exchange.prompt))
                    messages.append(Message(role="assistant", text=exchange.answer))
        return Memory(messages=messages)

    return router
