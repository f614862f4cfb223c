"""Requests to services on the network: what is retried, how often, after which pause."""

from backend.services.policy import (
    RETRIED_STATUSES,
    RetryableError,
    RetryPolicy,
    parse_seconds,
    retry_after_s,
)

__all__ = [
    "RETRIED_STATUSES",
    "RetryPolicy",
    "RetryableError",
    "parse_seconds",
    "retry_after_s",
]
