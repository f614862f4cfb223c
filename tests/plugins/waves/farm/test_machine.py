"""What a machine of the farm leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

from plugins.waves.farm.machine import PREFIX, _sweep


def test_what_a_killed_machine_left_is_removed(tmp_path: Path) -> None:
    """The directory of a process that has ended goes; those of others stay."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left, ours, foreign = (
        tmp_path / name
        for name in (f"{PREFIX}{ended.pid}-a", f"{PREFIX}{os.getpid()}-b", f"{PREFIX}somebody")
    )
    for directory in (left, ours, foreign):
        directory.mkdir()
        (directory / "recording.wav").touch()

    _sweep(tmp_path)

    assert {ours, foreign} == set(tmp_path.iterdir())
