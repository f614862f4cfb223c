"""The description of `/v1/events` as AsyncAPI 3.0, made from the models of the messages."""

from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from pydantic.json_schema import models_json_schema

from plugins.show.connection import SUBPROTOCOL
from plugins.show.messages import CONTROL, EVENTS, VERSION, Hello, Payload

CHANNEL = "events"
ADDRESS = "/v1/events"
REFERENCE = "#/components/schemas/{model}"


@cache
def describe(base_url: str) -> dict[str, Any]:
    """Return the document for the server at `base_url`."""
    sent: tuple[type[Payload], ...] = EVENTS + CONTROL
    known: tuple[type[Payload], ...] = (*sent, Hello)
    modes: list[tuple[type[Payload], Any]] = [(model, "serialization") for model in sent]
    _, schemas = models_json_schema([*modes, (Hello, "validation")], ref_template=REFERENCE)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Reflective Resonance",
            "version": version("reflective-resonance"),
            "description": "Tells when the waves of utterances, turns and sessions are ready.",
        },
        "servers": {
            "show": {
                "host": urlsplit(base_url).netloc or "127.0.0.1",
                "protocol": "wss" if base_url.startswith("https:") else "ws",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "defaultContentType": "application/json",
        "channels": {
            CHANNEL: {
                "address": ADDRESS,
                "description": "Every client gets every event as a text frame. Close code 4002: "
                "it read too slowly. "
                "?dialect=original: the messages of the earlier version. "
                "?dialect=full: also every event of every session's stream, with the type "
                "and the payload that GET /v1/sessions/{id}/events has.",
                "messages": {
                    model.type: {"$ref": f"#/components/messages/{model.type}"} for model in known
                },
            }
        },
        "operations": {
            "tell": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{CHANNEL}"},
                "messages": [_in_channel(model) for model in sent],
            },
            "greet": {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{CHANNEL}"},
                "messages": [_in_channel(Hello)],
            },
        },
        "components": {
            "messages": {
                **{model.type: _message(model, model in EVENTS) for model in sent},
                Hello.type: _hello(),
            },
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Where RR_API_TOKEN is set. A browser offers the subprotocols "
                    f"{SUBPROTOCOL} and bearer.<token as base64url without padding> instead.",
                }
            },
        },
    }


def _in_channel(model: type[Payload]) -> dict[str, str]:
    return {"$ref": f"#/channels/{CHANNEL}/messages/{model.type}"}


def _message(model: type[Payload], of_session: bool) -> dict[str, Any]:
    properties = {
        "v": {"const": VERSION},
        "type": {"const": model.type},
        "sessionId": {"type": "string"} if of_session else {"type": "null"},
        "seq": {"type": "integer", "minimum": 1} if of_session else {"type": "null"},
        "cursor": {"type": "integer"},
        "ts": {"type": "string", "format": "date-time"},
        "payload": {"$ref": REFERENCE.format(model=model.__name__)},
    }
    return {
        "name": model.type,
        "summary": (model.__doc__ or "").strip(),
        "payload": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def _hello() -> dict[str, Any]:
    cursor = {"type": ["integer", "null"], "minimum": 0}
    return {
        "name": Hello.type,
        "summary": (Hello.__doc__ or "").strip(),
        "payload": {
            "type": "object",
            "properties": {"type": {"const": Hello.type}, "cursor": cursor},
            "required": ["type"],
        },
    }
