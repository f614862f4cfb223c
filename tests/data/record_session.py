"""Record the session that the kit plays: `uv run python -m tests.data.record_session`."""

import json
import tempfile
from pathlib import Path
from typing import Any

from backend.plugins.testing import session as kit
from backend.storage import Artifacts
from backend.tracking import RECORDING_FILE
from tests.command import run

WORDS = "What does the water remember?"
HEARD = {"heard_id": "20261122T180400Z-5e6f7a8b"}
SPEECH_HEARD = HEARD | {
    "duration_s": 2.5,
    "language_code": "en",
    "heard_at": "2026-11-22T18:04:02+00:00",
    "text": WORDS,
}
LEFT_OUT: dict[str, dict[str, Any]] = {
    "session_started": HEARD | {"text": WORDS},
    "mood_read": {"reason": "no word of the lists"},
}
"""What a recording has not: the visitor and their words."""


def main() -> None:
    """Rehearse a session, and complete its recording."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("rehearse", WORDS, "--seed", "1", "--artifacts", folder)
        run(*command, cwd=Path(folder), env={"RR_MOOD_ENABLED": "true"}).check_returncode()
        (entry,) = Artifacts(Path(folder)).session_entries("tts")
        text = Path(entry, RECORDING_FILE).read_text("utf-8").replace(entry.name, kit.RECORDED_ID)
    header, *rows = map(json.loads, text.splitlines())
    for row in rows:
        row["payload"] |= LEFT_OUT.get(row["signal"], {})
    heard = {"t": -1.0, "signal": "speech_heard", "sender": "hearing", "payload": SPEECH_HEARD}
    lines = [json.dumps(row, separators=(",", ":")) for row in (header, heard, *rows)]
    Path(kit.__file__).with_name("session.jsonl").write_text("\n".join([*lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
