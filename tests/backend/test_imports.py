"""What is not configured is not imported, as processes show that say what they import."""

import re
from collections.abc import Iterable
from pathlib import Path

import httpx2
import pytest

from tests.command import Running, free_port, run
from tests.patience import until

pytestmark = pytest.mark.e2e

QUIET = {
    "PYTHONPROFILEIMPORTTIME": "1",  # each import is a line on stderr
    **{f"RR_{name}_ENABLED": "false" for name in ("METRICS", "SHOW", "STREAM", "WAVES")},
}
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google.genai": "GOOGLE_API_KEY",
}
MODELS = {"pydantic_ai", *KEYS}
OPTIONAL = {
    *MODELS,
    "httpx2",
    "librosa",
    "numba",
    "piper",
    "prometheus_client",
    "pythonosc",
    "scipy",
    "soundfile",
    "soxr",
}
"""Libraries that something has to ask for."""


def imported(stderr: Iterable[str]) -> set[str]:
    """Return those of `OPTIONAL` that a process says it has imported."""
    names = {found[1] for line in stderr if (found := re.match(r"import time:.*\| +(\S+)$", line))}
    return OPTIONAL & names


def answers(port: int) -> bool:
    """Tell whether the server answers."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/v1/health").is_success
    except httpx2.TransportError:
        return False


def served(tmp_path: Path, env: dict[str, str], awaited: Iterable[str] = ()) -> set[str]:
    """Return what a server has imported, at its stop, once it answers and `awaited` is there."""
    port = free_port()
    with Running("serve", "--port", str(port), cwd=tmp_path, env={**QUIET, **env}) as server:
        until(lambda: answers(port), "the server answers")
        until(lambda: imported(server.log) >= set(awaited), f"{awaited} are imported")
        assert 0 == server.stop()
        return imported(server.log)


def test_a_server_without_keys_and_plugins_imports_none_of_their_libraries(tmp_path: Path) -> None:
    """What nobody asks for is not there when the server listens, nor when it has stopped."""
    assert set() == served(tmp_path, {})


@pytest.mark.parametrize("library", KEYS)
def test_a_server_with_one_key_imports_one_provider(library: str, tmp_path: Path) -> None:
    """With one key it is that provider's library, and what its models need."""
    found = served(tmp_path, {KEYS[library]: "sk-canary"}, {"pydantic_ai", library})

    assert {"pydantic_ai", library} == found & MODELS


def test_each_plugin_imports_its_own_libraries(tmp_path: Path) -> None:
    """On, a plugin has what it needs, and nothing of the others."""
    metrics = served(tmp_path, {"RR_METRICS_ENABLED": "true"})
    osc = served(tmp_path, {"RR_OSC_ENABLED": "true", "RR_OSC_TARGETS": "127.0.0.1:9"})

    assert ({"prometheus_client"}, {"pythonosc"}) == (metrics, osc)


def test_a_rehearsal_without_keys_imports_no_model(tmp_path: Path) -> None:
    """Neither it nor a command for the settings loads what it does not use."""
    rehearsal = run("rehearse", "--slots", "2", cwd=tmp_path, env=QUIET)
    config = run("config", cwd=tmp_path, env=QUIET)

    assert "slot 1" in rehearsal.stdout + rehearsal.stderr
    assert set() == imported(rehearsal.stderr.splitlines())
    assert set() == imported(config.stderr.splitlines())
