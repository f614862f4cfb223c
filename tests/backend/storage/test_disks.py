"""Sessions on disks that lack what most have, and under any umask: whole commands as processes."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import COMMAND, environment
from tests.patience import LIMIT_S

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="modes, flock and sitecustomize"),
]

REFUSING = """
import errno, fcntl, os, stat

def refusing(number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))
    return refuse

for name in ("chmod", "fchmod", "lchmod", "chown", "utime", "link", "symlink"):
    setattr(os, name, refusing(errno.EPERM))
os.statvfs = os.posix_fadvise = refusing(errno.ENOSYS)
fcntl.flock = refusing(errno.ENOLCK)
fsync = os.fsync

def flush(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fsync(descriptor)

os.fsync = flush
"""
"""A `sitecustomize`, which every process of the command runs first."""


def rehearse(place: Path, *, umask: int = 0o022, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a session of one slot with a cache of its own."""
    kernels = {"RR_WAVES_KERNEL_CACHE": str(place / "kernels"), "RR_WAVES_MAX_WORKERS": "1"}
    return subprocess.run(
        [*COMMAND, "rehearse", "water", "--slots", "1", "--json", "--artifacts", place / "a"],
        cwd=place,
        env=environment(kernels | env),
        umask=umask,
        capture_output=True,
        text=True,
        timeout=LIMIT_S * 4,
    )


def test_a_disk_without_modes_locks_and_flushes_of_folders(tmp_path: Path) -> None:
    """A session gets its speech and waves; what is missing is one warning with the path."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REFUSING)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])

    done = rehearse(tmp_path, PYTHONPATH=path)

    assert (0, True) == (done.returncode, json.loads(done.stdout)["ok"]), done.stderr
    assert 1 == done.stderr.count(f"there is no lock at {tmp_path}/a")
    assert "cannot flush names: [Errno 22] Invalid argument" in done.stderr


@pytest.mark.parametrize(("umask", "shared"), [(0o000, 0o055), (0o077, 0)])
def test_every_file_and_folder_has_the_modes_of_the_one_rule(
    tmp_path: Path, umask: int, shared: int
) -> None:
    """Nobody else may write; the umask says who may read, also the lock and the compiled code."""
    done = rehearse(tmp_path, umask=umask)

    assert 0 == done.returncode, done.stderr
    modes = {one: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("*/**/*")}
    modes[tmp_path / "a"] = stat.S_IMODE((tmp_path / "a").stat().st_mode)
    assert 10 < len(modes)
    assert {} == {one: oct(mode) for one, mode in modes.items() if mode & 0o077 & ~shared}
