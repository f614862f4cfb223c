"""The description of what is published, as AsyncAPI 3.0, made from the payloads of the signals."""

from importlib.metadata import version
from typing import Any

from pydantic import PydanticInvalidForJsonSchema, PydanticUserError, TypeAdapter

from backend.signals import Signal, defined
from plugins.nats.settings import NatsSettings


def describe(settings: NatsSettings) -> dict[str, Any]:
    """Return the document for all signals that are defined now."""
    signals = sorted(defined(), key=lambda signal: signal.name)
    names = [signal.name for signal in signals]
    scheme, _, host = settings.url.partition("://")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Reflective Resonance",
            "version": version("reflective-resonance"),
            "description": "Every signal of the installation, as it is sent. Texts are empty "
            "unless RR_NATS_TEXTS=true; paths are relative to the artifacts root.",
        },
        "servers": {"nats": {"host": host, "protocol": "nats" if scheme == "nats" else "natss"}},
        "defaultContentType": "application/json",
        "channels": {
            name: {
                "address": f"rr.{settings.installation}.{name}",
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            }
            for name in names
        },
        "operations": {
            name: {"action": "send", "channel": {"$ref": f"#/channels/{name}"}} for name in names
        },
        "components": {"messages": {signal.name: _message(signal) for signal in signals}},
    }


def _message(signal: Signal[Any]) -> dict[str, Any]:
    """Return a message with the JSON Schema of its payload; any payload where that has none."""
    message: dict[str, Any] = {"name": signal.name, "summary": signal.meaning}
    try:
        schema = TypeAdapter(signal.payload).json_schema(
            mode="serialization",
            ref_template=f"#/components/messages/{signal.name}/payload/$defs/{{model}}",
        )
    except (PydanticUserError, PydanticInvalidForJsonSchema):
        schema = {}
    return message | {"payload": schema}
