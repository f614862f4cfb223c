"""Bad input through the real worker: every file gets a verdict."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from plugins.waves import worker
from plugins.waves.files import paths, publishing
from plugins.waves.pool import Pool
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import Figure
from tests.benchmarks.reliability.workers import Decomposition
from tests.plugins.waves import corpus

MUTANTS, TRUNCATIONS = 2_000, 200
LIMIT_MS = 2_000


def measure(folder: Path) -> list[Figure]:
    """Decompose what was made by hand, damaged and cut."""
    bad = [item.contents for item in corpus.bad_files()]
    good = [contents for contents, _ in corpus.good_files().values()]
    sets: list[tuple[str, str, Iterable[bytes]]] = [
        ("by hand, bad", ">= 60, each a verdict <= 2 s", bad),
        ("by hand, odd but good", "each a verdict <= 2 s", good),
        ("mutants", "2,000, each a verdict <= 2 s", corpus.mutants(MUTANTS)),
        ("truncations", "200, each a verdict <= 2 s", corpus.truncations(TRUNCATIONS)),
    ]
    rows = []
    with Pool(
        worker.decompose,
        lanes=2,
        queue_max_size=MUTANTS,
        timeout_s=60,
        warm_up=partial(worker.warm_up, str(folder / ".tmp"), "exact", None),
    ) as pool:
        for number, (name, target, files) in enumerate(sets):
            rows.append(judge(pool, folder, f"set-{number}", name, target, files))
    return rows


def judge(
    pool: Pool, root: Path, session_id: str, name: str, target: str, files: Iterable[bytes]
) -> Figure:
    """Send every file to the workers; count verdicts and what is no verdict."""
    turn = figures.turn_directory(root, session_id)
    asked = []
    for number, contents in enumerate(files):
        path = turn / f"{number}.wav"
        path.write_bytes(contents)
        asked.append(Decomposition(path, root))
    for job in asked:
        pool.submit(job)
    outcomes = [(job, job.outcome()) for job in asked]
    written = refused = wrong = 0
    for job, outcome in outcomes:
        whole = publishing.complete(paths.session_targets(Path(job.path), root))
        if outcome.reason == "":
            written += 1
            wrong += not whole
        elif outcome.reason == "invalid_audio":
            refused += 1
            wrong += whole or not outcome.message.strip()
        else:
            wrong += 1
    slowest = max(outcome.running_ms for _, outcome in outcomes)
    value = f"{written} decomposed, {refused} refused, {wrong} wrong; slowest {slowest:.0f} ms"
    met = wrong == 0 and slowest <= LIMIT_MS and written + refused == len(asked)
    return Figure(f"bad inputs, {name}", target, value, met, len(asked), corpus.RNG_SEED)
