"""Settings of the retention plugin, and the plugin itself as the host discovers it.

Off by default, since it deletes. Every limit is off until it is set.
"""

from pydantic import Field

from backend.plugins import Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS


class RetentionSettings(PluginSettings, env_prefix="RR_RETENTION_"):
    """Settings of the retention plugin, each from `RR_RETENTION_<NAME>`; a limit of 0 is none."""

    enabled: bool = Field(False, description="Whether the server removes what is over a limit.")
    tts_ttl_min: float = Field(
        0,
        ge=0,
        description="Minutes after its last word that a session's speech is kept; 0 is no limit.",
    )
    tts_max_mb: float = Field(
        0,
        ge=0,
        description="Megabytes of speech that are kept; the oldest are removed first; "
        "0 is no limit.",
    )
    tts_keep_last: int = Field(
        0, ge=0, description="Newest sessions whose speech is kept; 0 is no limit."
    )
    waves_ttl_h: float = Field(
        0,
        ge=0,
        description="Hours after its last wave that a session is kept, speech and waves; "
        "0 is no limit.",
    )
    waves_max_mb: float = Field(
        0,
        ge=0,
        description="Megabytes of waves that are kept; the oldest are removed first; "
        "0 is no limit.",
    )
    waves_keep_last: int = Field(
        0, ge=0, description="Newest sessions that are kept, speech and waves; 0 is no limit."
    )
    interval_s: float = Field(
        60, gt=0, le=86_400, description="Seconds between two checks of the limits."
    )


plugin = Plugin(
    name="retention",
    settings=RetentionSettings,
    lifespan="plugins.retention.plugin:lifespan",
    commands="plugins.retention.prune_command:app",
    command="prune",
    sends="plugins.retention.signals:sends",
    listens=(*TRACKED_SIGNALS, "waves_written", "waves_failed"),
    order=200,
)
