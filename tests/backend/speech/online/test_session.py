"""A whole session whose voice service goes away in the middle: the installation keeps talking."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from backend.agents import Slot
from backend.config import Settings
from backend.runtime import Hosting
from backend.sessions import SlotAudio
from backend.speech.sound.loudness import TARGET_DBFS, active_level
from tests.backend.speech.sounds import read
from tests.backend.speech.stubs import KEY, RATE, STUBS

AGENTS = ("claude-sonnet-4-5", "gpt-5.2", "gpt-4o", "gemini-3", "claude-opus-4-5", "gpt-5.1")
SLOTS = [Slot(number, agent) for number, agent in enumerate(AGENTS, 1)]


@pytest.mark.e2e
@pytest.mark.parametrize("engine", STUBS)
async def test_a_service_that_dies_in_turn_2(engine: str, tmp_path: Path) -> None:
    """Every utterance is spoken: by the service while it runs, then by the embedded voice."""
    voices = tmp_path / "voices.toml"
    voices.write_text("[elevenlabs]\nmax_requests = 6\n", "utf-8")  # so that nobody queues
    with STUBS[engine]() as stub:
        settings = Settings(
            _env_file=None,
            artifacts_dir=tmp_path,
            seed=1,
            voices_file=voices,
            speech_engine=engine,
            speech_openai_url=stub.url if engine == "openai" else "",
            speech_openai_api_key=SecretStr(KEY),
            speech_elevenlabs_url=stub.url if engine == "elevenlabs" else "",
            elevenlabs_api_key=SecretStr(KEY),
        )
        hosting = Hosting(settings, [])
        audios: list[SlotAudio] = []
        names: Counter[str] = Counter()
        with capture_logs() as logs:
            async with hosting.running():
                async for _, event in hosting.runner.start("Rain", SLOTS).read():
                    names[event.name] += 1
                    if isinstance(event, SlotAudio):
                        audios.append(event)
                    if event.name == "turn.start" and 2 == names["turn.start"]:
                        stub.stop()

    assert (0, 3, 1) == (names["slot.error"], names["turn.done"], names["done"])
    assert names["slot.done"] == len(audios) >= 13
    service_rate = 22_050 if engine == "elevenlabs" else RATE
    spoken = [read(tmp_path / event.audio_path) for event in audios]
    assert all(service_rate == rate for _, rate in spoken[:6])
    levels = [active_level(y, rate) for y, rate in spoken]
    assert all(TARGET_DBFS == pytest.approx(level, abs=1) for level in levels)
    fell_back = [log for log in logs if log["event"] == "fallback used"]
    assert {("the voice", "embedded")} == {(log["chain"], log["engine"]) for log in fell_back}
    assert len(audios) - 6 == len(fell_back)
    assert KEY not in str(logs)
