"""What requests that mean harm get from a server of its own."""

from pathlib import Path
from time import perf_counter

from tests.backend.test_hostile import CASES, LEAKS, converse, request, status_of, under_attack
from tests.benchmarks.reliability.figures import Figure

BODY_BYTES = 100_000_000
TOO_LARGE = 413


def measure(folder: Path) -> list[Figure]:
    """Send every hostile request, and a body of 100 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong, slowest_s = [], 0.0
    with under_attack(folder) as serving:
        for name, case in CASES.items():
            started = perf_counter()
            received = converse(serving.port, case.sent)
            slowest_s = max(slowest_s, perf_counter() - started)
            known = status_of(received) in case.statuses
            if not known or any(leak in received for leak in LEAKS):
                wrong.append(name)
        length = f"Content-Length: {BODY_BYTES}"
        head = request("/v1/chat", "Content-Type: application/json", length, method="POST")
        status = status_of(converse(serving.port, head))
    value = f"{len(wrong)} answered wrongly{': ' if wrong else ''}{', '.join(wrong)}"
    value += f"; slowest {slowest_s:.2f} s"
    met = not wrong and len(CASES) >= 80
    return [
        Figure("hostile requests", ">= 80; no non-.wav byte served", value, met, len(CASES)),
        Figure("body of 100 MB", str(TOO_LARGE), str(status), status == TOO_LARGE, 1),
    ]
