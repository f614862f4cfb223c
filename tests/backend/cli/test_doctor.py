"""Each check of the doctor: well on a good machine, and failing with words that help."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from backend.cli.doctor import Finding, examine
from backend.config import Settings
from backend.plugins import Discovered
from tests import strangers
from tests.backend.serving import READY, Serving
from tests.backend.speech.stubs import KEY, OpenAIStub
from tests.command import free_port, run


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        yield port


def found(
    artifacts: Path,
    *plugins: Discovered,
    port: int | None = None,
    voices_file: Path | None = None,
) -> dict[str, Finding]:
    """Return the findings by their check."""
    port = port or free_port()
    settings = Settings(artifacts_dir=artifacts, port=port, voices_file=voices_file)
    return {finding.check: finding for finding in examine(settings, plugins, print)}


def failures(findings: dict[str, Finding]) -> dict[str, str]:
    """Return the details of the checks that failed."""
    return {check: finding.detail for check, finding in findings.items() if not finding.ok}


def test_a_good_machine_passes_every_check(tmp_path: Path) -> None:
    """Everything the show will do works, and nothing but the root is left behind."""
    findings = found(tmp_path / "artifacts")

    assert {} == failures(findings)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_artifacts_that_cannot_be_written_fail(tmp_path: Path) -> None:
    """A root below a file is found out by trying; the checks after it still run."""
    (tmp_path / "file").write_bytes(b"")

    findings = found(tmp_path / "file" / "artifacts")

    assert {"artifacts can be written", "disk space"} == failures(findings).keys()
    assert 7 == sum("agents: " not in check for check in findings)


@pytest.mark.e2e
def test_a_taken_port_fails(tmp_path: Path, taken: int) -> None:
    """The finding names the address and the setting to change."""
    detail = failures(found(tmp_path, port=taken))["port"]

    assert f"port {taken} of 127.0.0.1 is taken" in detail
    assert "RR_PORT" in detail


@pytest.mark.e2e
def test_the_port_of_the_server_that_runs_is_well(tmp_path: Path) -> None:
    """It is asked who it is."""
    with Serving(tmp_path, {"RR_WAVES_ENABLED": "false"}) as serving:
        serving.wait_for(READY)
        finding = found(tmp_path, port=serving.port)["port"]

    running = f"the server of this installation runs at http://127.0.0.1:{serving.port}"
    assert Finding("port", True, running) == finding


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a gigabyte is too little, and the finding says how much there is."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 300_000_000))

    assert "0.3 GB free" in failures(found(tmp_path))["disk space"]


def test_a_missing_voice_fails(tmp_path: Path) -> None:
    """A voice whose file is not there is named, with what to reinstall."""
    voices = tmp_path / "voices.toml"
    voices.write_text('[embedded.calm_soothing]\nvoice = "en-us+f9"\n', "utf-8")

    detail = failures(found(tmp_path, voices_file=voices))["voices"]

    assert "en-us+f9" in detail
    assert "espeakng-loader" in detail


def test_a_plugin_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    """A broken plugin is named with its reason."""
    detail = failures(found(tmp_path, Discovered("tides", None, "ImportError: no moon")))["plugins"]

    assert "tides (ImportError: no moon)" in detail


@pytest.mark.e2e
def test_two_plugins_of_one_name_fail(tmp_path: Path) -> None:
    """Both packages are named, here and in the log."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "more", strangers.TIDES.replace("tide_turned", "moon_rose"))
    env = {"PYTHONPATH": str(tmp_path), "RR_PORT": str(free_port())}

    done = run("doctor", "--json", cwd=tmp_path, env=env)

    details = {one["check"]: one["detail"] for one in json.loads(done.stdout) if not one["ok"]}
    assert 1 == done.returncode
    assert ["plugins"] == list(details)
    for text in (details["plugins"], done.stderr):
        assert "the packages more 1.0 and tides 1.0 have a plugin of this name" in text


def test_each_service_is_asked_once(tmp_path: Path) -> None:
    """A service in use is reachable, or refused with the reason; its key is not shown."""

    def asked(*modes: str) -> tuple[Finding, int]:
        with OpenAIStub(*modes) as stub:
            settings = Settings(
                _env_file=None,
                artifacts_dir=tmp_path,
                port=free_port(),
                speech_engine="openai",
                speech_openai_url=stub.url,
                speech_openai_api_key=SecretStr(KEY),
            )
            findings = {finding.check: finding for finding in examine(settings, [], print)}
            return findings["voice openai"], len(stub.seen)

    good, bad = asked("good"), asked("401")

    assert (Finding("voice openai", True, "reachable (status 200)"), 1) == good
    assert (False, 1) == (bad[0].ok, bad[1])
    assert "answered 401" in bad[0].detail
    assert KEY not in str(good) + str(bad)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """A service without its key is a finding that names the variable."""
    settings = Settings(
        _env_file=None, artifacts_dir=tmp_path, port=free_port(), speech_engine="elevenlabs"
    )

    findings = {finding.check: finding for finding in examine(settings, [], print)}

    assert "ELEVENLABS_API_KEY" in failures(findings)["voice elevenlabs"]
