"""The sessions on the disk, newest first, as their manifests and files tell them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from backend.http import CamelCase
from backend.storage import (
    SESSION_FILE,
    WAV_SUFFIX,
    Artifacts,
    is_plain_name,
    profile_of,
    wave_names,
)

MAX_BYTES = 2**20
EXCERPT_CHARACTERS = 120
BEFORE_MATCH_CHARACTERS = 40


class SlotOfSession(CamelCase):
    """A slot that took part, and its agent."""

    slot_id: int
    agent_id: str


class KeptUtterance(CamelCase):
    """An utterance as it is kept; `text` is empty with `RR_KEEP_TEXTS=false`."""

    turn_index: int
    kind: str
    slot_id: int
    agent_id: str
    target_slot_id: int | None = None
    text: str
    voice_profile: str
    audio_path: str | None = None
    duration_s: float | None = None
    written_at: datetime | None = None
    waves: tuple[str, ...] = Field((), description="Paths: V3's three first; or none.")
    waves_reason: str | None = Field(None, description="Why it has no waves, if that is known.")


class _Session(CamelCase):
    session_id: str
    started_at: datetime
    finished_at: datetime | None
    status: Literal["running", "finished", "interrupted"]
    spoken: bool = Field(description="Whether the visitor spoke; otherwise the message was typed.")
    slots: list[SlotOfSession]


class SessionSummary(_Session):
    """A session in the list."""

    utterances: int
    with_waves: int
    excerpt: str = Field(description="Some words of it, those that were searched for.")


class KeptSession(_Session):
    """A session with its utterances, by turn and slot."""

    utterances: list[KeptUtterance]


class SessionPage(CamelCase):
    """Sessions, newest first."""

    sessions: list[SessionSummary]
    next: str | None = Field(
        description="The value of `before` for the next page, if there is one."
    )


class _Manifest(CamelCase):
    """What the host writes into a session's manifest."""

    session_id: str
    slots: dict[int, str]
    started_at: datetime
    status: Literal["running", "finished", "interrupted"]
    finished_at: datetime | None = None
    heard_id: str | None = None
    utterances: list[KeptUtterance]

    @property
    def head(self) -> dict[str, Any]:
        """The fields of every answer."""
        return {
            "session_id": self.session_id,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "status": self.status,
            "spoken": self.heard_id is not None,
            "slots": [
                SlotOfSession(slot_id=slot_id, agent_id=agent_id)
                for slot_id, agent_id in sorted(self.slots.items())
            ],
        }


class Archive:
    """Reads the sessions below an artifacts root; what is no manifest is left out."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def page(self, limit: int, since: str, before: str, words: list[str]) -> SessionPage:
        """Return at most `limit` sessions of which each word was said, and where to go on.

        Manifests are read until the page is full: their names sort by time.
        """
        found: list[SessionSummary] = []
        for session_id in self._ids(since, before):
            if len(found) == limit:
                return SessionPage(sessions=found, next=found[-1].session_id)
            manifest = self._manifest(session_id)
            if manifest is not None and _says(manifest, words):
                found.append(self._summary(manifest, words))
        return SessionPage(sessions=found, next=None)

    def session(self, session_id: str) -> KeptSession | None:
        """Return a session with its utterances; None if there is none."""
        manifest = self._manifest(session_id) if is_plain_name(session_id) else None
        if manifest is None:
            return None
        reasons = self._reasons(session_id)
        for utterance, waves in self._waves(manifest):
            utterance.waves = waves
            utterance.waves_reason = None if waves else reasons.get(utterance.audio_path or "")
        return KeptSession(**manifest.head, utterances=manifest.utterances)

    def _ids(self, since: str, before: str) -> list[str]:
        chosen = [
            name
            for name in _names(self._artifacts.sessions("tts"))
            if since <= name and (not before or name < before) and is_plain_name(name)
        ]
        return sorted(chosen, reverse=True)

    def _manifest(self, session_id: str) -> _Manifest | None:
        path = self._artifacts.session("tts", session_id) / SESSION_FILE
        with suppress(OSError, ValueError):  # deleted meanwhile, or something else
            manifest = _Manifest.model_validate_json(_content(path))
            return manifest if manifest.session_id == session_id else None
        return None

    def _summary(self, manifest: _Manifest, words: list[str]) -> SessionSummary:
        return SessionSummary(
            **manifest.head,
            utterances=len(manifest.utterances),
            with_waves=sum(bool(waves) for _, waves in self._waves(manifest)),
            excerpt=_excerpt(manifest, words),
        )

    def _waves(self, manifest: _Manifest) -> Iterator[tuple[KeptUtterance, tuple[str, ...]]]:
        """Yield each utterance with the paths of its waves, none if they are not complete."""
        turns: dict[int, tuple[str, set[str]]] = {}
        for utterance in manifest.utterances:
            speech = (utterance.audio_path or "").rpartition("/")[2]
            if not speech.endswith(WAV_SUFFIX):
                yield utterance, ()
                continue
            turn_index = utterance.turn_index
            if turn_index not in turns:
                turn = self._artifacts.turn("waves", manifest.session_id, turn_index)
                turns[turn_index] = self._artifacts.relative(turn), set(_names(turn))
            folder, there = turns[turn_index]
            base = speech.removesuffix(WAV_SUFFIX)
            names = wave_names(base)
            others = (one for one in there if one.startswith(base) and profile_of(one, base))
            files = (*names, *sorted(set(others).difference(names)))
            is_complete = there.issuperset(names)
            yield utterance, tuple(f"{folder}/{name}" for name in files) if is_complete else ()

    def _reasons(self, session_id: str) -> Mapping[str, str]:
        """Return why utterances have no waves, by their speech, as the waves' record says it."""
        path = self._artifacts.session("waves", session_id) / SESSION_FILE
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            rows = json.loads(_content(path))["utterances"]
            return {row["source"]: str(row["reason"]) for row in rows if row.get("reason")}
        return {}


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES)


def _names(directory: Path) -> list[str]:
    with suppress(OSError), os.scandir(directory) as entries:
        return [entry.name for entry in entries]
    return []


def _says(manifest: _Manifest, words: list[str]) -> bool:
    if not words:
        return True
    said = "\n".join(utterance.text for utterance in manifest.utterances).casefold()
    return all(word in said for word in words)


def _excerpt(manifest: _Manifest, words: list[str]) -> str:
    """Return the beginning of the first utterance, or the words around the first match."""
    for text in (utterance.text for utterance in manifest.utterances):
        if not words and text:
            return _cut(text, 0)
        at = min((at for word in words if (at := text.casefold().find(word)) >= 0), default=-1)
        if at >= 0:
            return _cut(text, max(0, at - BEFORE_MATCH_CHARACTERS))
    return ""


def _cut(text: str, start: int) -> str:
    """Return some characters of a text from `start`, in whole words where there are any."""
    if start:
        start = text.find(" ", start) + 1 or start
    end = start + EXCERPT_CHARACTERS
    if end < len(text):
        end = max(text.rfind(" ", start, end), start + EXCERPT_CHARACTERS // 2)
    return f"{'... ' if start else ''}{text[start:end]}{' ...' if end < len(text) else ''}"
