"""Translates an exception of a model into the AgentError that a session reports.

A provider's own message may hold parts of a key or of the prompt, so it is never shown.
"""

from pydantic_ai.exceptions import (
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestTimeout,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
)

from backend.agents.registry import AgentProfile
from backend.errors import AgentError, SlotErrorType

_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_SERVER_ERRORS = range(500, 600)

_WHAT_TO_DO: dict[SlotErrorType, str] = {
    "network": "could not be reached: check the network and the provider's address",
    "timeout": "did not answer in time: try again, or allow it more time",
    "rate_limit": "refused because of its rate limit or quota: wait, or check the account",
    "server_error": "has trouble on its side: try again later, or choose another agent",
    "unknown": "gave no usable answer: the log names the failure",
}
_REFUSED_STATUSES = {
    401: "was refused: check its key",
    403: "was refused: check what its key may do",
    404: "was not found: check the name of its model and its address",
}


def as_agent_error(error: Exception, profile: AgentProfile) -> AgentError:
    """Return the AgentError for `error`; one that is an AgentError already passes unchanged."""
    if isinstance(error, AgentError):
        return error
    kind = failure_type(error)
    status = _http_status(error)
    suffix = f" (HTTP {status})" if status is not None else ""
    words = _REFUSED_STATUSES.get(status or 0, _WHAT_TO_DO[kind])
    return AgentError(f"{profile.name} {words}{suffix}", type=kind)


def failure_type(error: BaseException) -> SlotErrorType:
    """Return the `slot.error` type of an exception raised while a model was asked."""
    match error:
        case AgentError():
            return error.type
        case TimeoutError() | ModelTimeoutError() | ModelRequestTimeout():
            return "timeout"
        case ModelRateLimitError() | ModelQuotaExceededError():
            return "rate_limit"
        case ModelServerError() | ModelUnavailableError() | ModelOverloadedError():
            return "server_error"
        case ModelHTTPError():
            return _status_type(error.status_code)
        case ModelConnectionError() | OSError():
            return "network"
        case _:
            return "unknown"


def _status_type(status: int) -> SlotErrorType:
    if status == _TOO_MANY_REQUESTS:
        return "rate_limit"
    if status == _REQUEST_TIMEOUT:
        return "timeout"
    return "server_error" if status in _SERVER_ERRORS else "unknown"


def _http_status(error: BaseException) -> int | None:
    return error.status_code if isinstance(error, ModelHTTPError) else None
