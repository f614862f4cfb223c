"""A rehearsal's report: what was said, what became of it, and every reason why it is not ok."""

import io
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.console import Console

from backend.cli import main
from backend.cli.rehearse import Report, rehearse, show
from backend.config import Settings
from backend.errors import SpeechError
from backend.plugins import Discovered, Host, Plugin, PluginSettings
from backend.sessions import Manifest, save
from backend.signals import (
    EVENT_LOOP,
    TtsWritten,
    WorkDone,
    WorkFailed,
    define,
    emit,
    tts_written,
)
from backend.speech import Spoken
from backend.speech.children import EmbeddedEngine
from backend.storage import Artifacts
from backend.terminal import duration
from backend.workflow import Workflow
from tests.command import invoke

pytestmark = pytest.mark.usefixtures("spoken_once")

made = define("rehearsal_test_made", WorkDone, "For tests.", sender="tests", thread=EVENT_LOOP)
failed = define(
    "rehearsal_test_failed", WorkFailed, "For tests.", sender="tests", thread=EVENT_LOOP
)

Outcome = Callable[[TtsWritten], WorkDone | WorkFailed]


def waves(outcome: Outcome) -> Discovered:
    """Return a plugin that ends each utterance with `outcome` at once."""

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        def receive(_: object, *, event: TtsWritten) -> None:
            result = outcome(event)
            if isinstance(result, WorkDone):
                emit(made, "test", result)
            else:
                emit(failed, "test", result)

        with tts_written.connected_to(receive):
            yield

    plugin = Plugin("waves", PluginSettings, lifespan, outcomes=(made, failed))
    return Discovered("waves", plugin)


def three_files(event: TtsWritten) -> WorkDone:
    """Stand in for a decomposition that went well: the WAV itself, three times."""
    return WorkDone(event, (event.wav_path,) * 3)


def progress() -> Console:
    """Return a console whose words can be read."""
    return Console(file=io.StringIO(), width=1000, markup=False)


async def run(tmp_path: Path, *found: Discovered, slots: int = 2, seed: int = 1) -> Report:
    """Rehearse without showing it."""
    settings = Settings(artifacts_dir=tmp_path, seed=seed)
    return await rehearse(settings, found, "Rain on the roof", slots, progress())


async def test_a_summary_is_rehearsed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `RR_SUMMARY_TURN` it is said last, for all slots, and stands in the table."""
    settings = Settings(artifacts_dir=tmp_path, seed=1, summary_turn=True)
    console = progress()

    report = await rehearse(settings, [waves(three_files)], "Rain on the roof", 2, console)
    show(report)

    assert isinstance(console.file, io.StringIO)
    assert "turn 4: summary\n  all slots (claude-sonnet-4-5): " in console.file.getvalue()
    assert [] == report.problems
    assert (4, 0, "summary") == (
        report.utterances[-1].turn_index,
        report.utterances[-1].slot_id,
        report.utterances[-1].kind,
    )
    shown = capsys.readouterr().out
    assert "turn 4 summary" in shown
    assert "slot 0" not in shown


async def test_a_whole_rehearsal_is_ok(tmp_path: Path) -> None:
    """With three files for each utterance nothing is wrong, and each has its time."""
    report = await run(tmp_path, waves(three_files))

    assert ([], True) == (report.problems, report.to_dict()["ok"])
    assert [(t, s) for t in (1, 2, 3) for s in (1, 2)] == [
        (row.turn_index, row.slot_id) for row in report.utterances
    ]
    for row in report.utterances:
        with wave.open(str(tmp_path / row.audio_path), "rb") as file:
            assert row.duration_s == pytest.approx(
                file.getnframes() / file.getframerate(), abs=1e-3
            )
        assert 3 == len(row.waves)
        assert row.text
        assert row.ready_ms is not None
        assert (row.target_slot_id is None) == (row.turn_index != 2)


@pytest.mark.e2e
async def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    """A seed repeats a session word for word and voice for voice; another seed does not."""
    first, again, other = [
        [(row.text, row.voice_profile, row.target_slot_id) for row in report.utterances]
        for report in [await run(tmp_path, waves(three_files), seed=seed) for seed in (5, 5, 6)]
    ]

    assert first == again
    assert first != other


def typed(root: Path, *arguments: str, **env: str) -> list[tuple[object, ...]]:
    """Return what is said in which slot, by whom, in a rehearsal that is typed."""
    done = invoke("rehearse", *arguments, "--json", "--artifacts", str(root), **env)
    assert 0 == done.exit_code, done.stderr
    return [
        tuple(row[key] for key in ("turn_index", "slot_id", "agent_id", "text", "voice_profile"))
        for row in json.loads(done.stdout)["utterances"]
    ]


def test_a_rehearsal_like_another_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the message, the slots and the seed of that one; what is given beside it wins."""
    monkeypatch.setattr(main, "discover", lambda: [waves(three_files)])
    slots = {5: "gemini-3", 2: "gpt-4o"}
    save(Manifest("1", slots, "now", seed=7, message="Rain on the roof"), Artifacts(tmp_path))

    first = typed(tmp_path, "--like", "1")
    again = typed(tmp_path, "--like", "last", RR_SEED="1")
    other = typed(tmp_path, "Snow", "--like", "1", "--slots", "1", "--seed", "8")

    assert first == again
    assert {(5, "gemini-3"), (2, "gpt-4o")} == {row[1:3] for row in first}
    assert any("roof" in str(row[3]) for row in first)
    assert [(1, 1, "claude-sonnet-4-5")] == [row[:3] for row in other]
    kept = [json.loads(path.read_bytes()) for path in tmp_path.rglob("2*/session.json")]
    assert [("Rain on the roof", 7)] * 2 + [("Snow", 8)] == sorted(
        (one["message"], one["seed"]) for one in kept
    )


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ("last", "--like last: there is no session last in"),
        ("20200101T000000Z-00000000", "there is no session 20200101T000000Z-00000000 in"),
        ("../..", "'../..' cannot be part of a path"),
        ("earlier", "--like earlier: it has no seed"),
        ("visit", "of the session visit no message is kept, as what visitors say never is"),
    ],
)
def test_what_cannot_be_rehearsed_again_is_told(tmp_path: Path, like: str, words: str) -> None:
    """No such session, one without a seed, one of a visitor without words beside it."""
    for name, seed in (("earlier", None), ("visit", 1)):
        if like == name:
            save(Manifest(name, {1: "gpt-4o"}, "now", seed=seed), Artifacts(tmp_path))

    done = invoke("rehearse", "--like", like, "--artifacts", str(tmp_path))

    assert (2, "", 1) == (done.exit_code, done.stdout, len(done.stderr.splitlines()))
    assert words in done.stderr


async def test_a_failed_decomposition_is_told(tmp_path: Path) -> None:
    """The reason of a failure stands with its utterance and among the problems."""

    def refuse(event: TtsWritten) -> WorkFailed:
        return WorkFailed(event, "queue_full", "2 are waiting")

    report = await run(tmp_path, waves(refuse), slots=1)

    (row,) = report.utterances
    assert "queue_full: 2 are waiting" == row.failure
    assert [f"{row.audio_path}: queue_full: 2 are waiting"] == report.problems


@pytest.mark.parametrize("present", [0, 2])
async def test_less_than_three_files_is_told(tmp_path: Path, present: int) -> None:
    """A file that was announced and is not there is missed."""

    def some(event: TtsWritten) -> WorkDone:
        missing = event.wav_path.with_name("missing.wav")
        return WorkDone(event, (event.wav_path,) * present + (missing,) * (3 - present))

    report = await run(tmp_path, waves(some), slots=1)

    assert f"has {present} of 3 waves" == report.utterances[0].failure
    assert 1 == len(report.problems)


async def test_a_rehearsal_plays_nothing(tmp_path: Path) -> None:
    """It ends once the waves are made; what plays would be cut off."""
    started: list[Host] = []

    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[None]:
        started.append(host)
        yield

    found = [
        Discovered(name, Plugin(name, PluginSettings, lifespan, presents=True))
        for name in ("playback", "show")
    ]
    report = await run(tmp_path, waves(three_files), *found, slots=1)

    assert [] == report.problems
    assert ["show"] == [host.name for host in started]


async def test_without_the_plugin_the_reason_is_told(tmp_path: Path) -> None:
    """Not installed, or broken: the rehearsal speaks, and says why there are no waves."""
    missing = await run(tmp_path, slots=1)
    broken = await run(tmp_path, Discovered("waves", None, "ImportError: no soxr"), slots=1)

    assert any("not installed" in problem for problem in missing.problems)
    assert any("failed, ImportError: no soxr" in problem for problem in broken.problems)


async def test_a_slot_that_fails_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An utterance that could not be spoken is told by turn, slot and type."""

    def mute(engine: EmbeddedEngine, text: str, voice_profile: str, path: Path) -> Spoken:
        raise SpeechError("no loudspeaker")

    monkeypatch.setattr(EmbeddedEngine, "generate_wav_to_file", mute)

    report = await run(tmp_path, waves(three_files), slots=1)

    assert ["turn 1 slot 1: tts_error: no loudspeaker", "no agent spoke"] == report.problems
    assert [] == report.utterances


async def test_a_session_that_ends_early_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session without all its turns is no success, also if what was spoken has its waves."""

    async def fail(*_: object) -> None:
        raise RuntimeError("the replies cannot begin")

    monkeypatch.setattr(Workflow, "_replies", fail)

    report = await run(tmp_path, waves(three_files))

    assert ["the session ended early; the log says why"] == report.problems
    assert 4 == len(report.utterances)


@pytest.mark.e2e
async def test_a_rehearsal_begins_with_a_recording(tmp_path: Path) -> None:
    """What is heard is what the agents answer, and the session names the recording."""
    question = tmp_path / "question.wav"
    EmbeddedEngine(temporary=tmp_path / ".tmp").generate_wav_to_file(
        "The river is very old.", "calm_soothing", question
    )
    console = progress()

    report = await rehearse(
        Settings(artifacts_dir=tmp_path, seed=1, stt_engine="embedded"),
        [waves(three_files)],
        "",
        1,
        console,
        recording=question.read_bytes(),
    )

    assert [] == report.problems
    assert isinstance(console.file, io.StringIO)
    assert "heard by embedded: " in console.file.getvalue()
    manifest = tmp_path / "tts" / "sessions" / report.session_id / "session.json"
    assert json.loads(manifest.read_text("utf-8"))["heard_id"]


@pytest.mark.parametrize("verbose", [False, True])
async def test_the_session_is_shown_as_it_goes(tmp_path: Path, *, verbose: bool) -> None:
    """Turns and what each slot says are shown while it runs; paths and waves if asked for."""
    console = progress()
    settings = Settings(artifacts_dir=tmp_path, seed=1)

    report = await rehearse(
        settings, [waves(three_files)], "Rain [bold]", 2, console, verbose=verbose
    )

    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    for row in report.utterances:
        assert row.text in told
        assert (row.audio_path in told) == verbose
    assert ("3 waves after" in told) == verbose
    assert ["turn 1", "turn 2", "turn 3"] == [
        line.partition(":")[0] for line in told.splitlines() if line.startswith("turn ")
    ]


async def test_the_table_has_a_row_for_each_utterance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table names voice, seconds and waves of every utterance, and where the session is."""
    report = await run(tmp_path, waves(three_files), slots=1)

    show(report)

    shown = capsys.readouterr().out
    (row,) = report.utterances
    for words in (row.voice_profile, duration(row.duration_s), "3 of 3", report.session_id):
        assert words in shown
