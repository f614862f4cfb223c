"""What hearing costs, and how well it understands: `uv run python -m tests.benchmarks.hearing`.

With `--piper MODEL.onnx` Piper speaks as well, and flite does where it is installed. The
engines are those of the settings. Times run from the end of speech, when the recording has arrived,
to the words.
"""

import argparse
import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np
import psutil
import soundfile
import soxr
from rich.console import Console
from rich.table import Table

from backend.agents import Slot
from backend.config import Settings
from backend.errors import HearingBusyError, NotHeardError
from backend.hearing import (
    SAMPLE_RATE,
    Hearing,
    HearingEngine,
    create_hearing,
    create_hearing_engine,
    hearing_engine_names,
)
from backend.logs import configure_logging
from backend.runtime import Hosting
from backend.sessions import SlotAudio
from backend.speech import PROFILES
from backend.speech.children import EmbeddedEngine, PiperEngine
from backend.speech.voices import Voice
from tests.benchmarks.readiness import all_ready
from tests.recordings import RATE, encode, word_errors

REPEATS = 20
AT_ONCE = 10
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
SENTENCES = tuple(
    line.strip()
    for line in """
    What do you remember of the first rain this year?
    I came here with my sister, and we are both a little tired.
    Can you tell me something about the colour of deep water?
    My grandfather was a fisherman in a small village.
    Why does the sea never sleep?
    I would like to hear a story about a river that changed its way.
    Yesterday I lost my keys, and a stranger brought them back.
    Is there anything you are afraid of?
    The garden behind our house was full of birds in the morning.
    Do you think that machines can be lonely?
    I have been waiting for this evening for a very long time.
    What would you say to somebody who cannot swim?
    Please speak a little slower, I am still learning English.
    Last winter the lake was frozen for seven weeks.
    There are days when I do not want to talk to anybody.
    How many people have stood here before me?
    Music sounds different when you stand close to the wall.
    My daughter asked me where the waves go at night.
    I work in a hospital, and today was a hard day.
    Tell me what you would do with one free hour.
    We walked along the coast until it was dark.
    The old bridge was closed because of the flood.
    Could you describe the smell of the forest after a storm?
    Nobody told us that the museum closes at six.
    I dream of a house with a window to the harbour.
    What is the difference between silence and quiet?
    She left the city because the noise made her ill.
    If you had a name, what should it be?
    The train was late, but the view was beautiful.
    I want to know how it feels to be made of glass.
    Every summer we put our feet into the cold stream.
    Have you ever heard your own voice?
    He wrote a letter to the ocean and never sent it.
    It is strange to speak to a bowl of water.
    My favourite place is the kitchen, early in the morning.
    Some questions are too big for one visit.
    What did the last visitor ask you?
    The children built a dam of stones and sand.
    I cannot remember the face of my first teacher.
    Which of you six is the oldest?
    There was a lamp in the window all night long.
    Give me one good reason to stay.
    We have three cats, a dog and a very old turtle.
    The doctor said that I should rest for a month.
    Where does the light come from?
    I forgot to thank the man who helped me.
    Your answers sound like the weather report.
    When it rains, the whole street smells of bread.
    I am not sure whether I should laugh or cry.
    The water in my town tastes of iron.
    Would you rather be a cloud or a well?
    My brother moved to Canada nine years ago.
    Do you count the people who pass by?
    The moon was so bright that we could read outside.
    I brought you a stone from the beach.
    Nothing grows on that island but grass.
    How long can you hold a sound?
    They sold the boat and bought a piano.
    Tomorrow I will tell my friends about you.
    Good night, and thank you for listening.
    """.strip().splitlines()
)
"""What visitors may say; written for this benchmark, and never used to tune anything."""

Speaker = Callable[[str], Any]


def speakers(folder: Path, piper: Path | None) -> Iterator[tuple[str, Speaker]]:
    """Yield each voice that is there, with a function that speaks a text at `SAMPLE_RATE`."""
    path = folder / "spoken.wav"
    espeak = EmbeddedEngine(temporary=folder)

    def read() -> Any:
        y, sample_rate = soundfile.read(path, dtype="float32")
        return soxr.resample(y, sample_rate, SAMPLE_RATE)

    def by_espeak(text: str) -> Any:
        espeak.generate_wav_to_file(text, PROFILES[len(text) % len(PROFILES)], path)
        return read()

    yield "espeak", by_espeak
    if piper is not None:
        engine = PiperEngine(dict.fromkeys(PROFILES, Voice(model=str(piper))), temporary=folder)

        def by_piper(text: str) -> Any:
            engine.generate_wav_to_file(text, PROFILES[0], path)
            return read()

        yield f"piper {piper.stem}", by_piper
    flite = shutil.which("flite")
    for voice in FLITE_VOICES if flite else ():

        def by_flite(text: str, voice: str = voice) -> Any:
            subprocess.run([str(flite), "-voice", voice, "-t", text, "-o", str(path)], check=True)
            return read()

        yield f"flite {voice}", by_flite


def pcm(y: Any) -> bytes:
    return bytes(np.round(np.clip(y, -1, 1) * 32_767).astype("<i2").tobytes())


def recording(speak: Speaker, duration_s: float) -> bytes:
    """Return speech of that length as a browser records it."""
    parts: list[Any] = []
    for text in SENTENCES:
        parts += [speak(text), np.zeros(SAMPLE_RATE // 3)]
        if sum(map(len, parts)) >= duration_s * SAMPLE_RATE:
            break
    y = np.concatenate(parts)[: round(duration_s * SAMPLE_RATE)]
    return encode(soxr.resample(y, SAMPLE_RATE, RATE), "webm")


async def timed(hearing: Hearing, data: bytes) -> tuple[float, str]:
    """Return the seconds to the answer, and which answer it was."""
    started = perf_counter()
    try:
        await hearing.hear(data)
        answer = "understood"
    except NotHeardError:
        answer = "not understood"
    except HearingBusyError:
        answer = "busy"
    return perf_counter() - started, answer


async def latencies(hearing: Hearing, speak: Speaker, table: Table) -> None:
    for duration_s in (3.0, 11.0):
        data = recording(speak, duration_s)
        decoded = []
        for _ in range(REPEATS):
            started = perf_counter()
            await asyncio.to_thread(hearing._decoder.decode, data)
            decoded.append(perf_counter() - started)
            await asyncio.sleep(0.3)  # visitors do not come in a row: the next child is ready
        whole = []
        for _ in range(REPEATS):
            whole.append((await timed(hearing, data))[0])
            await asyncio.sleep(0.3)
        for what, values in (("decoded", decoded), ("understood", whole)):
            table.add_row(f"{duration_s:g} s of speech, {what}", _figures(values))
    answers = await asyncio.gather(*(timed(hearing, recording(speak, 3.0)) for _ in range(AT_ONCE)))
    times, told = zip(*answers, strict=True)
    counts = ", ".join(f"{told.count(one)} {one}" for one in dict.fromkeys(told))
    table.add_row(f"{AT_ONCE} at once, 3 s each", f"last {max(times):.2f} s: {counts}")
    for child in psutil.Process().children():
        if any("hearing" in part for part in child.cmdline()):
            name = Path(child.cmdline()[-1]).parent.name
            table.add_row(f"memory of {name}", f"{child.memory_info().rss / 1e6:.0f} MB")


async def sessions(speak: Speaker, root: Path, table: Table) -> None:
    """Measure the first `slot.audio` after speech, and what hearing costs another's session."""
    data = recording(speak, 3.0)
    hosting = Hosting(Settings.load(artifacts_dir=root))
    slots = [Slot(number, agent.id) for number, agent in enumerate(hosting.registry, 1)]
    async with hosting.running():
        await all_ready(hosting.board)
        hosting.hearing.warm_up()

        async def visit(heard: bool = True) -> list[float]:
            """Return the seconds to each `slot.audio` of a session, from the end of speech."""
            started = perf_counter()
            message = (await hosting.hearing.hear(data)).transcript.text if heard else "The sea"
            stream = hosting.runner.start(message, slots)
            return [
                perf_counter() - started
                async for _, event in stream.read()
                if isinstance(event, SlotAudio)
            ]

        await visit()
        alone = [await visit() for _ in range(REPEATS)]
        async with repeated(lambda: visit(heard=False)):
            full = [await visit() for _ in range(REPEATS)]
            for duration_s in (3.0, 11.0):
                file = recording(speak, duration_s)
                times = [(await timed(hosting.hearing, file))[0] for _ in range(REPEATS)]
                table.add_row(f"{duration_s:g} s, understood beside sessions", _figures(times))
        table.add_row("first slot.audio, alone", _figures([times[0] for times in alone]))
        table.add_row("first slot.audio, beside sessions", _figures([times[0] for times in full]))
        for block in range(2):  # in turns, so that both see the same machine
            quiet = [time for _ in range(REPEATS // 2) for time in await visit(heard=False)]
            async with repeated(lambda: hosting.hearing.hear(data)):
                busy = [time for _ in range(REPEATS // 2) for time in await visit(heard=False)]
            table.add_row(f"every slot.audio, nobody speaks ({block + 1})", _figures(quiet))
            table.add_row(f"every slot.audio, others speak ({block + 1})", _figures(busy))


@asynccontextmanager
async def repeated(do: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Do something again and again while the block runs."""

    async def again() -> None:
        while True:
            await do()

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _figures(values: list[float]) -> str:
    cuts = quantiles(values, n=20)
    return f"p50 {cuts[9]:.3f} s, p95 {cuts[18]:.3f} s (n={len(values)})"


def errors(engine: HearingEngine, speak: Speaker) -> str:
    """Return the word errors of `engine` over all sentences."""
    wrong = total = 0
    for text in SENTENCES:
        found = engine.transcribe(pcm(speak(text)), "en").text
        n_wrong, n_words = word_errors(text, found)
        wrong, total = wrong + n_wrong, total + n_words
    return f"{100 * wrong / total:.1f} % ({wrong} of {total} words, n={len(SENTENCES)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--piper", type=Path, help="a voice of Piper, an .onnx file")
    arguments = parser.parse_args()
    settings = Settings.load()
    configure_logging("error")  # jobs that a measured session leaves behind are dropped
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        voices = dict(speakers(Path(folder), arguments.piper))
        table = Table("what", "figure", title="From the end of speech")
        hearing = create_hearing(settings, None)
        hearing.warm_up()
        asyncio.run(latencies(hearing, voices["espeak"], table))
        hearing.close()
        asyncio.run(sessions(voices["espeak"], Path(folder) / "artifacts", table))
        console.print(table)
        table = Table("engine", "voice", "word errors")
        for name in hearing_engine_names(settings):
            engine = create_hearing_engine(name, settings)
            for voice, speak in voices.items():
                table.add_row(name, voice, errors(engine, speak))
            engine.close()
        console.print(table)


if __name__ == "__main__":
    main()
