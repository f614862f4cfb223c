"""The modules of the pages that need no browser: their tests run in Node.js."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.patience import LIMIT_S

FOLDER = Path(__file__).parent


def find_node() -> str | None:
    """Return the Node.js on PATH, else that of Playwright, if there is one."""
    spec = find_spec("playwright")
    driver = Path(spec.origin).with_name("driver") if spec and spec.origin else FOLDER
    return shutil.which("node") or shutil.which("node", path=str(driver))


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.test.mjs")))
def test_the_tests_of_a_module_pass(name: str) -> None:
    """Each file of tests passes in Node.js, and has at least one test."""
    node = find_node()
    if node is None:
        pytest.skip("needs Node.js 20: on PATH, or uv sync --group e2e, whose Playwright has one")

    command = [node, "--test", "--test-reporter=tap", str(FOLDER / name)]
    run = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT_S, check=False
    )

    assert 0 == run.returncode, run.stdout + run.stderr
    assert "\n# pass 0\n" not in run.stdout
