"""Utterances with the sets of all profiles, as messages."""

import json
from dataclasses import replace
from pathlib import Path

from backend.storage import Artifacts
from backend.tracking import UtteranceDone
from plugins.show.announcer import Announcer
from plugins.show.hub import Hub
from tests.live import Data
from tests.simulated import done, spoken, with_slots, write_waves


async def test_waves_of_other_profiles_stand_beside_v3s(tmp_path: Path) -> None:
    """With V3 alone nothing is said of them; sets that are made later are told, too."""
    source = spoken("s", 1, 2, root=tmp_path)
    live = done(source, write_waves(source, tmp_path))
    hub = Hub(heartbeat_s=5, ring_size=16, client_queue=4, max_clients=2)
    client = hub.connect()
    assert client is not None
    announcer = Announcer(hub, Artifacts(tmp_path))

    for event in (live, replace(with_slots(live), backfill=True)):
        await announcer.announce(UtteranceDone(event, 0.1))
    payloads: list[Data] = [json.loads(await client.next())["payload"] for _ in range(2)]

    alone, both = payloads
    assert "profileWaves" not in alone
    assert [3, 3] == [len(payload["waves"]) for payload in payloads]
    assert [("slots", 1, 2), ("slots", 2, 3)] == [
        (wave["profile"], wave["wave"], wave["targetSlotId"]) for wave in both["profileWaves"]
    ]
    assert both["profileWaves"][0]["url"].endswith("_slots_wave1.wav")
