"""What `doctor` says of playback."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.errors import SettingsError
from backend.storage import Artifacts
from plugins.playback import output
from plugins.playback.checking import check
from plugins.playback.output import OutputError
from plugins.playback.settings import PlaybackSettings


def test_it_names_the_place_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may be playing."""
    card = {"name": "USB 8", "max_output_channels": 8}
    library = SimpleNamespace(
        _initialize=list, _terminate=list, PortAudioError=OSError, query_devices=lambda *_: card
    )
    monkeypatch.setattr(output, "sound_devices", lambda: library)
    file, artifacts = tmp_path / "all.wav", Artifacts(tmp_path / "artifacts")

    assert f"6 channels, by {file}" == check(PlaybackSettings(file=file), artifacts, print)
    assert not file.exists()
    assert "6 channels, by USB 8" == check(PlaybackSettings(), artifacts, print)

    card["max_output_channels"] = 2
    with pytest.raises(OutputError, match=r"USB 8 has 2 channels and dishes\.toml 6"):
        check(PlaybackSettings(), artifacts, print)
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        check(PlaybackSettings(dishes=tmp_path / "missing.toml"), artifacts, print)
