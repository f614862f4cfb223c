"""What is stored is found, goes by one rename, and comes back from no kill."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.storage import Artifacts, Leases, Tree
from plugins.retention.policy import Removal, Stored
from plugins.retention.removing import IN_USE, RemovalResult, carry_out
from plugins.retention.survey import Survey
from plugins.retention.trash import Trash
from tests.plugins.retention.stores import TREES, age, store, stored


def removal(session_id: str, tree: Tree = "tts") -> Removal:
    return Removal(session_id, tree, 1000, 60, "age")


def both(*session_ids: str) -> list[Removal]:
    return [removal(session_id, tree) for session_id in session_ids for tree in TREES]


def run(artifacts: Artifacts, removals: list[Removal], leases: Leases | None = None) -> list[str]:
    """Carry removals out; return the problem of each."""
    done = carry_out(removals, Trash(artifacts), leases or Leases())
    return [item.problem for session in done for item in session]


def test_a_look_sees_sizes_and_the_newest_file(artifacts: Artifacts) -> None:
    """A session is as large as its files and as old as its newest one."""
    (speech,) = store(artifacts, "session-1", "tts", size=1001, age_s=500)
    newest = speech / "turn_3" / "slot-2.wav"
    newest.parent.mkdir()
    newest.write_bytes(b"12345")
    age(newest, 100)

    (seen,) = Survey(artifacts).look("tts")

    assert Stored("session-1", 1006, newest.stat().st_mtime) == seen
    assert [] == Survey(artifacts).look("waves")


def test_a_look_is_not_repeated_but_for_what_has_changed(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that are as they were are not opened again; one that changed, came or went is."""
    for name in "abc":
        (speech,) = store(artifacts, name, "tts", age_s=500)
        for directory in (speech / "turn_1", speech):
            age(directory, 500)
    survey = Survey(artifacts)
    survey.look("tts")
    (artifacts.sessions("tts") / "b" / "turn_1" / "late.wav").write_bytes(b"12345")
    store(artifacts, "d", "tts")
    Trash(artifacts).take("tts", "c")
    opened: list[str] = []
    scandir = os.scandir

    def noting(path: str) -> Iterator[os.DirEntry[str]]:
        opened.append(os.path.relpath(path, artifacts.sessions("tts")))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noting)
    seen = survey.look("tts")

    assert {"a": 1000, "b": 1005, "d": 1000} == {item.session_id: item.size for item in seen}
    assert {".", "b", "d"} == {Path(path).parts[0] if path != "." else "." for path in opened}


def test_a_look_sees_which_recording_began_a_session(artifacts: Artifacts) -> None:
    """The id is in the manifest; a manifest that cannot be read, or without one, tells none."""
    store(artifacts, "spoken"), store(artifacts, "typed"), store(artifacts, "torn")
    manifests = {"spoken": b'{"heard_id": "h-1"}', "typed": b'{"heard_id": null}', "torn": b"["}
    for name, content in manifests.items():
        (artifacts.session("tts", name) / "session.json").write_bytes(content)

    found = {item.session_id: item.heard_id for item in Survey(artifacts).look("tts")}

    assert {"spoken": "h-1", "typed": None, "torn": None} == found


def test_what_is_no_session_is_left_alone(artifacts: Artifacts, tmp_path: Path) -> None:
    """Files, hidden directories and links beside the sessions are not looked at, nor through."""
    store(artifacts, "session-1", "tts")
    elsewhere = store(Artifacts(tmp_path / "elsewhere"), "precious", "tts")[0]
    sessions = artifacts.sessions("tts")
    (sessions / "notes.txt").write_text("mine")
    (sessions / ".hidden").mkdir()
    (sessions / "link").symlink_to(elsewhere, target_is_directory=True)

    assert ["session-1"] == [item.session_id for item in Survey(artifacts).look("tts")]


def test_a_tree_that_is_a_link_is_left_alone(artifacts: Artifacts, tmp_path: Path) -> None:
    """A tree on another disk behind a link is neither served nor removed from."""
    other = Artifacts(tmp_path / "elsewhere")
    store(other, "precious", "tts")
    artifacts.root.mkdir()
    (artifacts.root / "tts").symlink_to(other.root / "tts", target_is_directory=True)

    assert [] == Survey(artifacts).look("tts")


def test_a_removal_leaves_nothing(artifacts: Artifacts) -> None:
    """A session is gone from its trees and from the trash, another one is untouched."""
    store(artifacts, "session-1")
    store(artifacts, "session-2")

    assert ["", ""] == run(artifacts, both("session-1"))

    assert {"tts": ["session-2"], "waves": ["session-2"], "trash": []} == stored(artifacts)


def test_a_link_in_a_session_is_removed_and_not_followed(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    """What a link in a session points to stays, a file as well as a directory."""
    precious = store(Artifacts(tmp_path / "elsewhere"), "precious", "tts")[0]
    (speech,) = store(artifacts, "session-1", "tts")
    (speech / "turn_1" / "file").symlink_to(precious / "session.json")
    (speech / "directory").symlink_to(precious, target_is_directory=True)

    (seen,) = Survey(artifacts).look("tts")
    problems = run(artifacts, [removal("session-1")])

    links = len(str(precious)) * 2 + len("/session.json")  # what a link takes up is its target
    assert 1000 + links == seen.size
    assert [""] == problems
    assert [] == stored(artifacts)["tts"]
    assert [500, 500] == [path.stat().st_size for path in precious.rglob("*") if path.is_file()]


def test_a_session_that_was_replaced_by_a_link_is_not_followed(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    """A link that took a session's place after the look goes itself, not what it points to."""
    precious = store(Artifacts(tmp_path / "elsewhere"), "precious", "tts")[0]
    artifacts.sessions("tts").mkdir(parents=True)
    (artifacts.sessions("tts") / "session-1").symlink_to(precious, target_is_directory=True)

    run(artifacts, [removal("session-1")])

    assert {"tts": [], "waves": [], "trash": []} == stored(artifacts)
    assert 2 == len([path for path in precious.rglob("*") if path.is_file()])


def test_what_is_held_stays(artifacts: Artifacts) -> None:
    """A session that was leased after the look is left where it is, whole."""
    store(artifacts, "session-1")
    store(artifacts, "session-2")
    leases = Leases()

    with leases.held("session-1"):
        problems = run(artifacts, both("session-1", "session-2"), leases)

    assert [IN_USE, IN_USE, "", ""] == problems
    assert {"tts": ["session-1"], "waves": ["session-1"], "trash": []} == stored(artifacts)
    assert ["", ""] == run(artifacts, both("session-1"), leases)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Refuse to rename `path`, as Windows does while a file in it is open."""
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == path:
            raise PermissionError(13, "The process cannot access the file", str(self))
        return rename(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        yield


def test_waves_stay_while_their_speech_cannot_go(artifacts: Artifacts) -> None:
    """A refused rename is a problem, of the speech and of the waves behind it, not of others."""
    speech, _ = store(artifacts, "session-1")
    store(artifacts, "session-2")

    with refusing(speech):
        problems = run(artifacts, both("session-1", "session-2"))

    assert all("PermissionError" in problem for problem in problems[:2])
    assert ["", ""] == problems[2:]
    assert {"tts": ["session-1"], "waves": ["session-1"], "trash": []} == stored(artifacts)
    assert ["", ""] == run(artifacts, both("session-1"))


def test_a_session_that_went_by_itself_is_no_problem(artifacts: Artifacts) -> None:
    """What somebody else deleted after the look is gone as well as if we had."""
    artifacts.root.mkdir()

    assert ["", ""] == run(artifacts, both("session-1"))


def test_what_stays_in_the_trash_is_not_tried_for_every_session(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what a session left is unlinked for it; the rest waits for the next sweep of all."""
    left = artifacts.root / ".trash" / "left"
    left.parent.mkdir(parents=True)
    left.touch()
    tried: list[Path] = []
    monkeypatch.setattr(Path, "unlink", lambda path: tried.append(path))
    store(artifacts, "session-1")
    store(artifacts, "session-2")

    problems = run(artifacts, both("session-1", "session-2"))

    assert ([""] * 4, []) == (problems, tried)
    assert 1 == Trash(artifacts).sweep()
    assert [left] == tried


def test_what_a_kill_left_in_the_trash_goes_at_the_next_sweep(artifacts: Artifacts) -> None:
    """Sessions that were moved and not yet unlinked are unlinked later, links not followed."""
    store(artifacts, "session-1")
    trash = Trash(artifacts)
    trash.take("tts", "session-1")
    trash.take("waves", "session-1")
    left = len(stored(artifacts)["trash"])
    (artifacts.root / ".trash" / "stray.wav").write_bytes(b"x")

    assert 0 == Trash(artifacts).sweep()

    assert 2 == left
    assert {"tts": [], "waves": [], "trash": []} == stored(artifacts)


def test_a_trash_that_is_a_link_is_not_used(artifacts: Artifacts, tmp_path: Path) -> None:
    """Nothing is moved into, nor unlinked from, a directory that the trash only points to."""
    store(artifacts, "session-1", "tts")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (artifacts.root / ".trash").symlink_to(precious, target_is_directory=True)

    assert 0 == Trash(artifacts).sweep()
    with pytest.raises(OSError, match="symbolic link"):
        Trash(artifacts).take("tts", "session-1")

    assert ["session-1"] == stored(artifacts)["tts"]
    assert ["file"] == [path.name for path in precious.iterdir()]


def test_each_session_is_told_of_once(artifacts: Artifacts) -> None:
    """The outcome names every removal of a session, speech first."""
    store(artifacts, "session-1")

    done = list(carry_out(both("session-1"), Trash(artifacts), Leases()))

    assert [[RemovalResult(removal("session-1", tree)) for tree in TREES]] == done
