"""What the doctor finds out about providers, against real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.agents.models.probe import Probe, probe_providers
from backend.config import Settings
from backend.errors import SettingsError
from tests.backend.agents.models.test_providers import PROVIDERS, entry, settings_for
from tests.backend.agents.stub import KEY, Mode, Stub
from tests.command import free_port

TITLES = {"openai": "openai", "anthropic": "anthropic", "google": "google", "ollama": "openai-chat"}


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Return a server of the test's own."""
    with Stub() as server:
        yield server


def probe(settings: Settings) -> Probe:
    """Return the only probe."""
    (found,) = probe_providers(settings)
    return found


@pytest.mark.parametrize(
    ("mode", "ok", "detail"),
    [
        ("good", True, "reachable"),
        ("401", False, "refused, the key is not accepted (HTTP 401)"),
        ("429 always", False, "refused, its rate limit or quota is used up (HTTP 429)"),
        ("500 always", False, "answers with HTTP 500"),
        ("invalid JSON", False, "what answers there is no model server"),
        ("HTML with 200", False, "what answers there is no model server"),
        ("empty body", False, "what answers there is no model server"),
        ("reset half-way", False, "cannot be reached (ReadError)"),
        ("redirect", False, "answers with HTTP 307"),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_is_named_with_what_is_wrong(
    mode: Mode, ok: bool, detail: str, provider: str, stub: Stub, tmp_path: Path
) -> None:
    """One request tells how a provider is; the finding names it and holds no key."""
    stub.modes["list"] = mode

    found = probe(settings_for(tmp_path, entry("a", provider, stub)))

    assert found.name == f"{TITLES[provider]} at {stub.url(PROVIDERS[provider][1])}"
    assert (ok, detail) == (found.ok, found.detail[: len(detail)])
    assert 1 == len(stub.calls)
    assert KEY not in str(found)


def test_a_server_that_is_not_there_is_named(tmp_path: Path, stub: Stub) -> None:
    """Nobody listens: the finding says to check the address."""
    toml = entry("a", "ollama", stub).replace(str(stub.port), str(free_port()))

    found = probe(settings_for(tmp_path, toml))

    assert (False, "cannot be reached (ConnectError): check the address") == (
        found.ok,
        found.detail,
    )


@pytest.mark.parametrize(("fallback", "ok"), [('["rehearsal"]', True), ("[]", False)])
def test_a_missing_key_fails_only_who_would_be_silent(
    fallback: str, ok: bool, tmp_path: Path, stub: Stub
) -> None:
    """Without its key a provider is not asked; its variable is named."""
    settings = settings_for(tmp_path, entry("a", "openai", stub, fallback), OPENAI_API_KEY=None)

    found = probe(settings)

    assert ok == found.ok
    assert "no key" in found.detail
    assert "OPENAI_API_KEY" in found.detail
    assert [] == stub.calls


def test_providers_are_asked_once_however_many_agents_use_them(tmp_path: Path, stub: Stub) -> None:
    """Two agents and a fallback at one address are one request."""
    local = stub.url("/ollama/v1")
    chain = f'["openai:other", {{ model = "openai-chat:x", base_url = "{local}" }}]'
    toml = entry("a", "openai", stub, chain) + entry("b", "openai", stub)

    found = list(probe_providers(settings_for(tmp_path, toml)))

    assert [True, True] == [each.ok for each in found]
    assert 2 == len(stub.calls)


def test_a_key_that_cannot_be_sent_is_not_told(tmp_path: Path, stub: Stub) -> None:
    """A key with a letter no header can hold fails without showing itself."""
    settings = settings_for(tmp_path, entry("a", "google", stub), GOOGLE_API_KEY="sk-канарейка")

    found = probe(settings)

    assert not found.ok
    assert "канарейка" not in str(found)


def test_a_wrong_agents_file_is_told(tmp_path: Path) -> None:
    """A file that cannot be used ends the probe with its lines."""
    with pytest.raises(SettingsError, match="nonsense"):
        list(probe_providers(settings_for(tmp_path, '[[agents]]\nid = "a"\nnonsense = 1\n')))
