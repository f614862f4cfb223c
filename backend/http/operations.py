"""What an operator looks at while a show runs: the last lines of the log, the settings in force."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from backend.config import LogLevel, effective
from backend.http import problems
from backend.logs import LINES, LogLine, recent_lines
from backend.runtime import Hosting


class Lines(BaseModel):
    """Lines of the log, newest last."""

    lines: list[LogLine]


class SettingInfo(BaseModel):
    """A setting in force; a secret is masked, `plugin` is null for a setting of the server."""

    name: str
    value: str
    source: str
    default: str
    meaning: str
    plugin: str | None


class SettingList(BaseModel):
    """The settings of the server and of each installed plugin."""

    settings: list[SettingInfo]


def operations_router(hosting: Hosting) -> APIRouter:
    """Return the routes of the log and the settings."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/logs", responses=problems.responses(422))
    def logs(level: LogLevel = "info", limit: Annotated[int, Query(ge=1, le=LINES)] = 200) -> Lines:
        """Return the last lines of the log that are at least as severe as `level`."""
        severity = logging.getLevelNamesMapping()
        least = severity[level.upper()]
        found = [
            line for line in recent_lines() if severity.get(line.level.upper(), least) >= least
        ]
        return Lines(lines=found[-limit:])

    @router.get("/v1/settings")
    def settings() -> SettingList:
        """Return each setting with its value and its source; secrets are masked."""
        return SettingList(
            settings=[
                SettingInfo(
                    name=row.variable,
                    value=row.value,
                    source=row.source,
                    default=row.default,
                    meaning=row.description,
                    plugin=name,
                )
                for name, one in _in_force(hosting)
                for row in effective(one)
            ]
        )

    return router


def _in_force(hosting: Hosting) -> Iterator[tuple[str | None, BaseSettings]]:
    """Yield the settings of the server, then those of each plugin, also if it is switched off."""
    yield None, hosting.settings
    started = hosting.switches.settings if hosting.switches else {}
    for item in hosting.discovered:
        if item.name in started:
            yield item.name, started[item.name]
        elif item.plugin is not None:
            with suppress(Exception):  # wrong settings of a plugin, which were logged at the start
                yield item.name, item.plugin.settings.load()
