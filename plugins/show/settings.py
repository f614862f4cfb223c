"""Settings of the show plugin, and the plugin itself as the host discovers it."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from backend.plugins import Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS

Dialect = Literal["standard", "original", "full"]
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._\-\[\]:]+/?")


class ShowSettings(PluginSettings, env_prefix="RR_SHOW_"):
    """Settings of the show plugin, each from `RR_SHOW_<NAME>`."""

    heartbeat_s: float = Field(5, ge=0.1, le=60, description="Seconds between heartbeats.")
    ring_size: int = Field(
        1000,
        ge=16,
        le=100_000,
        description="Latest events that a client can have again, by dialect.",
    )
    client_queue: int = Field(
        256, ge=8, le=10_000, description="Events that may wait for one client; then it is dropped."
    )
    max_clients: int = Field(64, ge=1, le=1000, description="Clients that may be connected.")
    wait_limit_s: float = Field(
        300, gt=0, le=7200, description="Seconds an utterance is waited for; then it is missing."
    )

    base_url: str = Field(
        "", description="Address of this server in URLs, such as http://192.168.0.5:8000."
    )

    dialect: Dialect = Field(
        "standard", description="Messages of clients that ask for none: standard, original or full."
    )

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("not an address: write it like http://192.168.0.5:8000")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _ring_holds_a_queue(self) -> Self:
        if self.ring_size < self.client_queue:
            raise ValueError(
                f"RR_SHOW_RING_SIZE={self.ring_size} is less than "
                f"RR_SHOW_CLIENT_QUEUE={self.client_queue}: make it at least as large"
            )
        return self


plugin = Plugin(
    name="show",
    settings=ShowSettings,
    lifespan="plugins.show.plugin:lifespan",
    router="plugins.show.routes:router",
    commands="plugins.show.touchdesigner:app",
    command="touchdesigner",
    listens=(*TRACKED_SIGNALS, "event_published", "waves_written", "waves_failed", "mood_read"),
    presents=True,
)
