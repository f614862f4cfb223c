"""Check whether this machine can run the installation, by doing what a session does."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from backend.config import Settings
from backend.errors import ListenError
from backend.plugins import Discovered, Plugin, PluginSettings, PluginStatuses, enabled
from backend.services import Engine
from backend.storage import Artifacts, write_bytes

FREE_BYTES = 1_000_000_000
"""A session of 18 utterances takes about 6 MB with its waves: enough for about 150 sessions."""
ANSWER_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    ok: bool
    detail: str


def examine(
    settings: Settings,
    discovered: Iterable[Discovered],
    say: Callable[[str], None],
    *,
    server_runs: bool = False,
) -> list[Finding]:
    """Run every check and return the findings; `say` shows the progress of a check.

    With `server_runs` it is the server of `settings` that asks, so its port is in use.
    """
    discovered = list(discovered)
    artifacts = Artifacts(settings.artifacts_dir)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("artifacts can be written", lambda: _artifacts(artifacts)),
        ("disk space", lambda: _disk(artifacts)),
        *_voices(settings, artifacts),
        *_hearing(settings),
        ("port", lambda: _port(settings, server_runs=server_runs)),
        ("plugins", lambda: _plugins(discovered)),
    ]
    checks += _checks_of_plugins(discovered, artifacts, say)
    findings = [_finding(name, check) for name, check in checks]
    return [*findings, *_unread(settings, discovered), *_providers(settings)]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except Exception as error:  # noqa: BLE001 - any error is a finding
        return Finding(name, False, str(error) or type(error).__name__)


def _unread(settings: Settings, discovered: Iterable[Discovered]) -> list[Finding]:
    from backend.runtime import unread_settings

    found = unread_settings(settings, discovered)
    if not found:
        return [Finding("settings", True, "each one that is set is read")]
    return [
        Finding(f"setting {one.name or one.where}", not one.is_mistake, str(one)) for one in found
    ]


def _providers(settings: Settings) -> list[Finding]:
    from backend.agents.models.probe import probe_providers

    try:
        probes = list(probe_providers(settings))
    except Exception as error:  # noqa: BLE001 - any error is a finding
        return [Finding("agents", False, str(error) or type(error).__name__)]
    return [Finding(f"agents: {probe.name}", probe.ok, probe.detail) for probe in probes]


def _checks_of_plugins(
    discovered: Iterable[Discovered], artifacts: Artifacts, say: Callable[[str], None]
) -> list[tuple[str, Callable[[], str]]]:
    """Return the check of each enabled plugin that has one."""

    def check(plugin: Plugin, settings: PluginSettings) -> str:
        found: str = plugin.resolve("check")(settings, artifacts, say)
        return found

    return [
        (name, partial(check, plugin, settings))
        for name, (plugin, settings) in enabled(discovered, PluginStatuses()).items()
        if plugin.check is not None
    ]


def _artifacts(artifacts: Artifacts) -> str:
    probe = artifacts.temporary / "doctor"
    write_bytes(probe, b"water", artifacts.temporary)
    probe.unlink()
    return str(artifacts.root)


def _disk(artifacts: Artifacts) -> str:
    directory = artifacts.temporary
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return f"unknown: {error.strerror}"
    text = f"{free / 1e9:.1f} GB free"
    if free < FREE_BYTES:
        raise OSError(f"{text}: make room for at least {FREE_BYTES / 1e9:.0f} GB")
    return text


def _voices(settings: Settings, artifacts: Artifacts) -> list[tuple[str, Callable[[], str]]]:
    """Return a check for the embedded engine, and for each other one that is in use."""
    from backend.speech import create_engine, engine_names

    names = dict.fromkeys((*engine_names(settings), "embedded"))
    create = partial(create_engine, settings=settings, temporary=artifacts.root)
    return [
        ("voices" if name == "embedded" else f"voice {name}", partial(_check, create, name))
        for name in names
    ]


def _hearing(settings: Settings) -> list[tuple[str, Callable[[], str]]]:
    """Return a check for each hearing engine in use, which loads a model on this machine."""
    from backend.hearing import create_hearing_engine, hearing_engine_names

    create = partial(create_hearing_engine, settings=settings)
    names = hearing_engine_names(settings)
    if not names:
        return [("hearing", lambda: "turned off: RR_STT_ENGINE=none")]
    return [(f"hearing: {name}", partial(_check, create, name)) for name in names]


def _check(create: Callable[[str], Engine], name: str) -> str:
    with closing(create(name)) as engine:
        return engine.check()


def _port(settings: Settings, *, server_runs: bool) -> str:
    from backend.http.connections import listening

    running = f"the server of this installation runs at {settings.base_url}"
    if server_runs:
        return running
    try:
        with listening(settings.host, settings.port):
            return f"{settings.host}:{settings.port} is free"
    except ListenError:
        if not _is_our_server(settings.base_url):
            raise
        return running


def _is_our_server(base_url: str) -> bool:
    import httpx2

    try:
        answer = httpx2.get(
            f"{base_url}/v1/health",
            timeout=ANSWER_LIMIT_S,
            trust_env=False,
            verify=False,  # the certificate may be made by hand, and nothing is sent
        )
        return bool(answer.json() == {"status": "ok"})
    except (httpx2.HTTPError, ValueError):
        return False


def _plugins(discovered: Iterable[Discovered]) -> str:
    found = list(discovered)
    broken = [f"{item.name} ({item.problem})" for item in found if item.plugin is None]
    if broken:
        raise OSError("cannot be loaded: " + ", ".join(broken))
    return ", ".join(item.name for item in found) or "none installed"
