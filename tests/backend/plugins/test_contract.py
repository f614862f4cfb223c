"""Every plugin that is installed, and those of the READMEs, keep the contract."""

import importlib
from pathlib import Path

import pytest

from backend.plugins import Discovered, discover
from backend.plugins.testing import check_contract
from tests import installed, readme

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("found", discover(), ids=lambda one: one.name)
def test_an_installed_plugin_keeps_the_contract(
    found: Discovered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds one learns what is wrong with it."""
    for name, value in installed.NEEDED.items():
        monkeypatch.setenv(name, value)

    assert found.plugin, found.problem
    check_contract(found.plugin, tmp_path)


@pytest.mark.parametrize(
    ("page", "title", "module"),
    [
        (readme.MAIN, "Writing a subscriber", "utterance_csv"),
        ("plugins/README.md", "Work that takes time", "utterance_list"),
    ],
)
def test_a_subscriber_of_a_readme_keeps_the_contract(
    page: str, title: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies it begins with a plugin that is as it should be."""
    (tmp_path / f"{module}.py").write_text(readme.files(page, title)[f"{module}.py"], "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    check_contract(importlib.import_module(module).plugin, tmp_path / "artifacts")
