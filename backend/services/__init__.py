"""Services on the network: requests and retries, and the pause of what keeps failing."""

from backend.services.chain import Chain, Engine
from backend.services.client import ServiceClient
from backend.services.nats import NATS_URL, NatsConnection, NatsLogin
from backend.services.pauses import PAUSE_AFTER, PAUSE_S, Pauses
from backend.services.policy import (
    RETRIED_STATUSES,
    RetryableError,
    RetryPolicy,
    parse_seconds,
    retry_after_s,
)
from backend.services.service import Request, Service, elevenlabs, openai
from backend.services.surroundings import named_surroundings

__all__ = [
    "NATS_URL",
    "PAUSE_AFTER",
    "PAUSE_S",
    "RETRIED_STATUSES",
    "Chain",
    "Engine",
    "NatsConnection",
    "NatsLogin",
    "Pauses",
    "Request",
    "RetryPolicy",
    "RetryableError",
    "Service",
    "ServiceClient",
    "elevenlabs",
    "named_surroundings",
    "openai",
    "parse_seconds",
    "retry_after_s",
]
