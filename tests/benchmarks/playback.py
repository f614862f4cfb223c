"""What playing costs: the processor's share, how late blocks are, memory, and the first sample.

The output is the WAV file, whose thread wants a block of 10 ms every 10 ms as a card does. A block
that comes later than what a card of `RR_PLAYBACK_LATENCY_MS` holds would have been a gap.

    uv run python -m tests.benchmarks.playback [--minutes 1] [--channels 18]
"""

import argparse
import logging
import resource
import tempfile
from pathlib import Path
from time import monotonic, perf_counter, sleep, thread_time
from typing import Any

import numpy as np
import psutil
import pytest
import structlog

from backend.config import Settings
from backend.http.app import create_app
from backend.signals import TtsWritten, tts_written
from backend.terminal import output as terminal
from plugins.playback.dishes import Channel, Notch, Source
from plugins.playback.mixer import BLOCK_S, Group, Mixer, Track
from plugins.waves.signals import WavesWritten, waves_written
from tests.live import LiveServer, chat

RATE = 48_000
LATENCIES_MS = (20, 30, 50, 100)


def channels(n: int) -> tuple[Channel, ...]:
    """Return channels that each play a wave through a notch."""
    source = Source(1, "v3", 0, 0.0)
    return tuple(Channel(str(i), (source,), notch=(Notch(24, 12, 6),)) for i in range(n))


def cost(n: int, seconds: float = 20.0) -> tuple[float, float, int]:
    """Return the share of a core in percent, the kB that are kept after it began, and n blocks."""
    mixer, out = Mixer(channels(n), RATE), np.zeros((480, n), np.float32)
    noise = np.random.default_rng(1).uniform(-1, 1, round(RATE * (seconds + 1)))
    mixer.play([Track(noise, ((index, 0.2),)) for index in range(n)])
    for _ in range(50):
        mixer.fill(out)
    before, began = psutil.Process().memory_info().rss, thread_time()
    blocks = round(seconds / BLOCK_S)
    for _ in range(blocks):
        mixer.fill(out)
    used_s = thread_time() - began
    return 100 * used_s / seconds, (psutil.Process().memory_info().rss - before) / 1024, blocks


class Watched:
    """Notes when each block was asked for and what it cost, and how soon turn 1 is heard."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[float, float]] = []
        self.delays_s: list[float] = []
        self.written = self.spoken = 0
        self._latest: float | None = None
        fill, play = Mixer.fill, Mixer.play

        def noting_fill(mixer: Mixer, out: Any) -> None:
            at, cpu = perf_counter(), thread_time()
            fill(mixer, out)
            self.calls.append((at, thread_time() - cpu))

        def noting_play(mixer: Mixer, tracks: Any, start: int = 0) -> Group:
            group = play(mixer, tracks, start)
            if self._latest:
                to_come_s = (group.start - mixer.position) / mixer.rate
                self.delays_s.append(perf_counter() + to_come_s - self._latest)
                self._latest = None
            return group

        patch.setattr(Mixer, "fill", noting_fill)
        patch.setattr(Mixer, "play", noting_play)

    def hear(self, _: object, *, event: TtsWritten) -> None:
        """Count the utterances."""
        self.spoken += 1

    def receive(self, _: object, *, event: WavesWritten) -> None:
        """Note the latest waves of turn 1."""
        self.written += 1
        if event.source.turn_index == 1:
            self._latest = perf_counter()


def session(minutes: float, n: int) -> None:
    """Print what a server with playback, six workers and one session after the other gives."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    root = Path(tempfile.mkdtemp(prefix="playback-"))
    tables = (
        f'[[channel]]\nname = "{index}"\nplays = ["slot {index // 3 + 1} wave {index % 3 + 1}"]\n'
        "notch = [{hz = 24, db = 12, width = 6}]\n"
        for index in range(n)
    )
    (root / "dishes.toml").write_text("".join(tables), "utf-8")
    given = {
        "RR_PLAYBACK_ENABLED": "true",
        "RR_PLAYBACK_FILE": str(root / "all.wav"),
        "RR_PLAYBACK_DISHES": str(root / "dishes.toml"),
        "RR_PLAYBACK_PAUSE_S": "0",
        "RR_WAVES_MAX_WORKERS": "6",
        "RR_STT_ENGINE": "none",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        watched = Watched(patch)
        app = create_app(Settings(artifacts_dir=root / "artifacts"))
        with (
            LiveServer(app) as server,
            tts_written.connected_to(watched.hear),
            waves_written.connected_to(watched.receive),
        ):
            deadline = monotonic() + 60 * minutes
            while monotonic() < deadline:
                chat(server, 1, 2, 3, 4, 5, 6)
                while watched.written < watched.spoken and monotonic() < deadline:
                    sleep(0.05)
            skipped = app.state.hosting.board.service("playback").skipped
    report(watched, minutes, skipped)


def report(watched: Watched, minutes: float, skipped: int) -> None:
    """Print the table."""
    at, cpu = (np.array(one) for one in zip(*watched.calls, strict=True))
    late_ms = 1000 * (at - at[0] - BLOCK_S * np.arange(at.size))
    late_ms -= late_ms.min()
    p50, p99, p999 = np.percentile(late_ms, [50, 99, 99.9])
    delays_ms = 1000 * np.array(watched.delays_s or [np.nan])
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say = terminal().out
    say(f"{minutes:g} minutes of sessions with six workers: {watched.written} utterances")
    say(f"  blocks              n = {at.size}, steps skipped: {skipped}")
    say(f"  of a core           {100 * cpu.sum() / (at[-1] - at[0]):.2f} %")
    say(f"  a block             median {1e3 * np.median(cpu):.2f} ms, most {1e3 * cpu.max():.2f}")
    say(
        f"  late by ms          {p50:.1f} p50, {p99:.1f} p99, {p999:.1f} p99.9, {late_ms.max():.0f}"
    )
    for latency_ms in LATENCIES_MS:
        say(f"  gaps at {latency_ms:3d} ms      {gaps(at, latency_ms)}")
    say(
        f"  to the first sample n = {len(watched.delays_s)}, median {np.median(delays_ms):.0f} ms, "
        f"most {delays_ms.max():.0f} ms after the last waves_written of turn 1"
    )
    say(f"  memory              {most_mb:.0f} MB at most, of the whole server")


def gaps(at: "np.ndarray[Any, Any]", latency_ms: float) -> int:
    """Return how often a card that holds so much would have run dry: it then begins anew."""
    count, origin, index0 = 0, float(at[0]), 0
    for index, moment in enumerate(at):
        due = origin + BLOCK_S * (index - index0) + latency_ms / 1000 - BLOCK_S
        if moment > due:
            count += 1
            origin, index0 = float(moment), index
    return count


def main() -> None:
    """Print what playing costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--channels", type=int, default=18)
    chosen = parser.parse_args()
    say = terminal().out
    say("channels  of a core  kB kept  blocks")
    for n in sorted({6, chosen.channels}):
        share, kept_kb, blocks = cost(n)
        say(f"{n:8d}  {share:7.2f} %  {kept_kb:7.0f}  {blocks:6d}")
    session(chosen.minutes, chosen.channels)


if __name__ == "__main__":
    main()
