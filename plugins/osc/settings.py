"""Settings of the OSC plugin, and the plugin itself as the host discovers it."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from backend.plugins import Listed, Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS

MAX_PORT = 65_535


class OscSettings(PluginSettings, env_prefix="RR_OSC_"):
    """Settings of the OSC plugin, each from `RR_OSC_<NAME>`."""

    enabled: bool = Field(False, description="Whether OSC is sent; it needs RR_OSC_TARGETS.")
    targets: Listed[str] = Field(
        (), description="Where to, separated by commas, such as 127.0.0.1:7000,192.168.0.5:9000."
    )
    heartbeat_s: float = Field(5, ge=0.1, le=60, description="Seconds between heartbeats.")
    wait_limit_s: float = Field(
        300, gt=0, le=7200, description="Seconds an utterance is waited for; then it is missing."
    )

    @field_validator("targets")
    @classmethod
    def _are_targets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for target in value:
            host, port = split_target(target)
            if (
                not host
                or not port.isascii()
                or not port.isdigit()
                or not 0 < int(port) <= MAX_PORT
            ):
                raise ValueError(f"{target!r} is not a target: write it like 127.0.0.1:7000")
        return value

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if self.enabled and not self.targets:
            raise ValueError("RR_OSC_ENABLED=true needs RR_OSC_TARGETS, such as 127.0.0.1:7000")
        return self


def split_target(target: str) -> tuple[str, str]:
    """Return host and port of a target; an IPv6 address stands in brackets."""
    host, _, port = target.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        host = ""
    return host.strip("[]"), port


plugin = Plugin(
    name="osc",
    settings=OscSettings,
    lifespan="plugins.osc.plugin:lifespan",
    listens=(*TRACKED_SIGNALS, "waves_written", "waves_failed"),
    presents=True,
)
