"""Checks whether the providers can be reached, by listing their models, which costs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

from backend.agents.agents_file import load_profiles
from backend.agents.choices import ModelChoice
from backend.agents.models.keys import Keys
from backend.agents.registry import AgentProfile
from backend.config import Settings
from backend.services import named_surroundings

LIMIT_S = 5.0
ANTHROPIC_VERSION = "2023-06-01"
"""Required by Anthropic (https://docs.anthropic.com/en/api/versioning)."""

_REFUSED = {
    400: "the key is not accepted",
    401: "the key is not accepted",
    403: "the key may not do this",
    407: "the proxy wants a login",
    429: "its rate limit or quota is used up",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of the check of one provider at one address."""

    name: str
    ok: bool
    detail: str


def probe_providers(settings: Settings) -> Iterator[Probe]:
    """Yield a probe per provider and address; a missing key is no failure if a fallback answers."""
    keys = Keys(settings)
    needed_by: dict[tuple[str, str | None, str | None], list[tuple[AgentProfile, ModelChoice]]] = {}
    for profile in load_profiles(settings.agents_file):
        for choice in profile.chain:
            if not choice.is_offline:
                place = (choice.provider, choice.address, choice.variable)
                needed_by.setdefault(place, []).append((profile, choice))
    with named_surroundings():
        client = httpx2.Client(timeout=LIMIT_S, follow_redirects=False)
    with client:
        for users in needed_by.values():
            yield _probe(client, keys, users)


def _probe(
    client: httpx2.Client, keys: Keys, users: list[tuple[AgentProfile, ModelChoice]]
) -> Probe:
    choice = users[0][1]
    name = f"{choice.provider} at {choice.address}"
    key = keys.get(choice.variable) if choice.variable else None
    if choice.variable and key is None:
        answering = [_answering(profile, keys) for profile, _ in users]
        silent = [
            profile.name for (profile, _), model in zip(users, answering, strict=True) if not model
        ]
        if silent:
            return Probe(
                name,
                False,
                f"no key, and nobody answers for {', '.join(silent)}: set {choice.variable}",
            )
        models = ", ".join(sorted(set(filter(None, answering))))
        return Probe(
            name, True, f"no key, so its agents use: {models}; set {choice.variable} to use it"
        )
    try:
        response = client.send(_request(client, choice, key.get_secret_value() if key else None))
    except httpx2.TimeoutException:
        return Probe(name, False, f"no answer within {LIMIT_S:.0f} s: check network and address")
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        # ValueError: a key that cannot stand in a header; its text would show the key.
        return Probe(name, False, f"cannot be reached ({type(error).__name__}): check the address")
    return _judge(name, choice, response)


def _request(client: httpx2.Client, choice: ModelChoice, key: str | None) -> httpx2.Request:
    address = choice.address or ""
    match choice.provider:
        case "anthropic":
            headers = {"x-api-key": key or "", "anthropic-version": ANTHROPIC_VERSION}
            return client.build_request("GET", f"{address}/v1/models?limit=1", headers=headers)
        case "google":
            headers = {"x-goog-api-key": key or ""}
            return client.build_request(
                "GET", f"{address}/v1beta/models?pageSize=1", headers=headers
            )
        case _:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            return client.build_request("GET", f"{address}/models", headers=headers)


def _judge(name: str, choice: ModelChoice, response: httpx2.Response) -> Probe:
    status = response.status_code
    if reason := _REFUSED.get(status):
        variable = f": check {choice.variable}" if choice.variable else ""
        return Probe(name, False, f"refused, {reason} (HTTP {status}){variable}")
    if not response.is_success:
        return Probe(name, False, f"answers with HTTP {status}: check its base_url, or wait")
    try:
        listed = response.json()
    except ValueError:
        listed = None
    if not isinstance(listed, dict):
        return Probe(name, False, "what answers there is no model server: check network, base_url")
    return Probe(name, True, "reachable")


def _answering(profile: AgentProfile, keys: Keys) -> str | None:
    """Return the first model of an agent that has its key; None if there is none."""
    return next(
        (
            choice.model
            for choice in profile.chain
            if choice.variable is None or keys.get(choice.variable) is not None
        ),
        None,
    )
