"""What is sent: one OSC bundle for each thing that happens, numbers and strings apart.

    /rr/slot/3/wave/1/file   ,s     absolute path
    /rr/slot/3/wave/1/info   ,iiff  turn, milliseconds, peak, RMS (full scale being 1)
    /rr/slot/3/wave/1/ready  ,i     turn
    /rr/turn/ready           ,iii   turn, utterances with waves, utterances without
    /rr/session/id           ,s     id of the session
    /rr/session/ready        ,ii    utterances with waves, utterances without
    /rr/heartbeat            ,i     counts from 1

In a bundle of an utterance the three `ready` come last: a patch that is triggered by one has the
file and the figures already. Bundles are to be executed at once; UDP neither repeats nor orders.
"""

from collections.abc import Sequence
from pathlib import Path

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from backend.tracking import SessionOver, TurnOver
from plugins.waves.signals import WavesWritten

Message = tuple[str, str, tuple[str | int | float, ...]]
"""Address, type tags, arguments."""


def bundle(messages: Sequence[Message]) -> bytes:
    """Return the datagram of a bundle.

    Raises BuildError if an argument cannot be written, such as a path that is no text.
    """
    builder = OscBundleBuilder(IMMEDIATELY)
    for address, tags, arguments in messages:
        message = OscMessageBuilder(address)
        for tag, argument in zip(tags, arguments, strict=True):
            message.add_arg(argument, tag)
        builder.add_content(message.build())
    return builder.build().dgram


def utterance(waves: WavesWritten) -> bytes:
    """Return the datagram for the waves of one utterance."""
    source = waves.source
    duration_ms = round(waves.frames * 1000 / waves.sample_rate)
    figures: list[Message] = []
    triggers: list[Message] = []
    each = zip(waves.files, waves.peaks, waves.rms, strict=True)
    for number, (path, peak, rms) in enumerate(each, start=1):
        wave = f"/rr/slot/{source.slot_id}/wave/{number}"
        told = (source.turn_index, duration_ms, peak, rms)
        figures += [(f"{wave}/file", "s", (_text(path),)), (f"{wave}/info", "iiff", told)]
        triggers.append((f"{wave}/ready", "i", (source.turn_index,)))
    return bundle([*figures, *triggers])


def turn(event: TurnOver) -> bytes:
    """Return the datagram for a turn."""
    counts = (event.turn_index, len(event.done), len(event.missing))
    return bundle([("/rr/turn/ready", "iii", counts)])


def session(event: SessionOver) -> bytes:
    """Return the datagram for a session."""
    counts = (len(event.done), len(event.missing))
    return bundle(
        [("/rr/session/id", "s", (event.session_id,)), ("/rr/session/ready", "ii", counts)]
    )


def heartbeat(count: int) -> bytes:
    """Return the datagram of a heartbeat."""
    return bundle([("/rr/heartbeat", "i", (count,))])


def _text(path: Path) -> str:
    return str(path).encode("utf-8", "replace").decode("utf-8")
