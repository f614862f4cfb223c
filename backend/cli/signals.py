"""What can be listened to: every signal with its payload, its sender and its listeners."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from backend.cli.plugins import InstalledPlugin
from backend.signals import Signal, defined
from backend.terminal import output, show_paragraph


@dataclass(frozen=True, slots=True)
class InstalledSignal:
    """A signal as this installation has it."""

    name: str
    meaning: str
    payload: str
    fields: dict[str, str]
    """The type of each field of the payload, by name."""
    sender: str
    thread: str
    listeners: tuple[str, ...]
    """Plugins that listen to it."""
    off: tuple[str, ...]
    """Plugins that would listen to it if they were on."""


def installed_signals(plugins: Iterable[InstalledPlugin]) -> list[InstalledSignal]:
    """Return every signal of the host and of `plugins`, whose modules have been imported."""
    rows = list(plugins)

    def listeners(name: str, *, enabled: bool) -> tuple[str, ...]:
        return tuple(
            row.name for row in rows if row.enabled is enabled and name in (row.listens or ())
        )

    return [
        InstalledSignal(
            name=signal.name,
            meaning=signal.meaning,
            payload=signal.payload.__qualname__,
            fields=_fields(signal),
            sender=signal.sender,
            thread=signal.thread,
            listeners=listeners(signal.name, enabled=True),
            off=listeners(signal.name, enabled=False),
        )
        for signal in defined()
    ]


def undeclared(plugins: Iterable[InstalledPlugin]) -> list[str]:
    """Return the plugins that are on and do not tell what they listen to."""
    return [row.name for row in plugins if row.enabled and row.listens is None]


def _fields(signal: Signal[Any]) -> dict[str, str]:
    """Return the fields of a payload; a type that cannot be read is shown as it is written."""
    if not is_dataclass(signal.payload):
        return {}
    try:
        types = get_type_hints(signal.payload)
    except Exception:  # noqa: BLE001 - an annotation is the plugin's code
        types = {}
    return {
        one.name: inspect.formatannotation(types.get(one.name, one.type))
        for one in fields(signal.payload)
    }


def show(signals: Iterable[InstalledSignal], silent: Iterable[str]) -> None:
    """Print every signal, then the plugins of which it is not known what they listen to."""
    console = output()
    for row in signals:
        console.print(row.name, style="bold")
        off = f"off: {', '.join(row.off)}" if row.off else ""
        listeners = "; ".join(filter(None, (", ".join(row.listeners) or "none", off)))
        lines = (
            row.meaning,
            f"sent by: {row.sender or 'it is not told'}",
            f"thread: {row.thread or 'it is not told'}",
            f"listeners: {listeners}",
            f"payload: {row.payload}",
        )
        for line in lines:
            show_paragraph(console, line, (4, 8))
        for name, type_ in row.fields.items():
            show_paragraph(console, f"{name}: {type_}", (8, 12))
    for name in silent:
        show_paragraph(console, f"{name} is on and does not tell what it listens to")
