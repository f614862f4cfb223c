"""The server keeps to its own OpenAPI document: schemathesis asks what the document allows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http import doctor, hearing
from backend.http.app import create_app
from tests.backend.hearing_stub import StandIn
from tests.live import LiveServer
from tests.patience import LIMIT_S

COMMAND = Path(sys.executable).with_name("schemathesis")
SEED = 1
EXAMPLES = 60
"""For each operation and phase; together some 250 requests in about 10 s."""
NOT_EXPRESSED = "positive_data_acceptance"
"""Whether an agent exists, or a slot stands there twice, is beyond JSON schema: 422."""


@pytest.mark.e2e
def test_what_is_answered_is_what_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, type, headers and body of every answer are declared, and wrong data is refused."""
    if not COMMAND.is_file():
        pytest.skip("needs schemathesis: uv run --group e2e pytest -m e2e")
    arguments = [
        *("--no-color", "--continue-on-failure"),
        *("--checks", "all", "--exclude-checks", NOT_EXPRESSED, "--seed", str(SEED)),
        *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--request-timeout", str(LIMIT_S)),
    ]

    monkeypatch.setattr(hearing, "PER_MINUTE", 10_000)
    monkeypatch.setattr(doctor, "COMMAND", (sys.executable, "-c", "print('[]')"))
    app = create_app(Settings(artifacts_dir=tmp_path / "artifacts", max_sessions=64), [])
    app.state.hosting.hearing = StandIn()

    with LiveServer(app) as server:
        done = subprocess.run(
            [COMMAND, "run", f"{server.url}/v1/openapi.json", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=LIMIT_S,
            check=False,
        )

    assert 0 == done.returncode, done.stdout
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert 150 <= int(generated[1]), done.stdout


def test_a_problem_is_described_once(server: LiveServer) -> None:
    """Every declared error refers to the same problem, and none to another framework's form."""
    with server.client() as client:
        document = client.get("/v1/openapi.json").json()

    errors = [
        response
        for path in document["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    ]
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert len(errors) > 20
    assert [content] * len(errors) == [error["content"] for error in errors]
    assert {"type", "title", "status", "detail", "errors"} == document["components"]["schemas"][
        "Problem"
    ]["properties"].keys()
    assert "HTTPValidationError" not in str(document)
