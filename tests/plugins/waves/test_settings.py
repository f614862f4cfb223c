"""The settings of the waves plugin."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import PluginError
from plugins.waves.settings import WavesSettings, plugin


def test_defaults_are_those_of_the_prd() -> None:
    """Without any variable the plugin is on, with the PRD's figures."""
    settings = WavesSettings()

    assert settings.enabled
    assert (settings.max_workers, settings.queue_max_size, settings.job_timeout_s) == (2, 128, 60)
    assert (settings.processing_sr, settings.engine) == (8000, "exact")


def test_every_setting_is_described() -> None:
    """Each setting says what it is for."""
    assert all(field.description for field in WavesSettings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_workers", "0"),
        ("max_workers", "17"),
        ("queue_max_size", "-1"),
        ("job_timeout_s", "0"),
        ("job_timeout_s", "inf"),
        ("processing_sr", "44100"),
        ("max_duration_s", "nan"),
        ("engine", "crepe"),
        ("memory_limit_mb", "16"),
        ("stop_limit_s", "60"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A value out of range is refused by its variable's name, with the value."""
    monkeypatch.setenv(f"RR_WAVES_{name.upper()}", value)

    with pytest.raises(PluginError) as caught:
        WavesSettings.load()

    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"RR_WAVES_{name.upper()}='{value}': ")


@pytest.mark.e2e
def test_the_settings_import_nothing_else_of_the_plugin() -> None:
    """A host with the plugin switched off pays for its settings only."""
    code = (
        "import sys, plugins.waves.settings\n"
        "own = {name for name in sys.modules if name.startswith('plugins.waves.')}\n"
        "assert own == {'plugins.waves.settings'}, own\n"
        "assert not {'numpy', 'plugins.waves.pool.pool', 'librosa'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("part", ["lifespan", "commands", "outcomes"])
def test_what_the_plugin_names_exists(part: str) -> None:
    """Each part that is named as "module:attribute" can be imported."""
    assert plugin.resolve(part) is not None
