"""Asks several engines in turn until one has done what was asked."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic, Protocol, TypeVar

import structlog

from backend.errors import ReflectiveResonanceError
from backend.services.pauses import PAUSED, Pauses

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What every engine has; any thread may use it, and it keeps nothing between requests."""

    @property
    def name(self) -> str:
        """The name the engine goes by in settings and logs."""

    def check(self) -> str:
        """Return how the engine is, having done nothing; one cheap request at most.

        Raises
        ------
        ReflectiveResonanceError
            If it could not do its work now; the message says why and what to do.
        """

    def close(self) -> None:
        """End what is under way, within a second or two; later requests are refused.

        May be called from any thread, and more than once.
        """


E = TypeVar("E", bound=Engine)


class Chain(Generic[E]):
    """Asks `engines` in order; one that keeps failing is paused, except the last.

    `label` is what messages call them together; `error` is what they raise, and the chain too.
    """

    def __init__(
        self,
        engines: Sequence[E],
        *,
        label: str,
        error: type[ReflectiveResonanceError],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.engines = engines
        self._label = label
        self._error = error
        self._pauses = Pauses(clock)
        self._closed = False

    @property
    def name(self) -> str:
        """The name of the engine that is asked first."""
        return self.engines[0].name

    def ask(self, function: Callable[[E], T], engines: Sequence[E] = ()) -> T:
        """Return `function` of the first of `engines`, by default of all, that does not fail."""
        reasons: dict[str, str] = {}
        asked = engines or self.engines
        for engine in asked:
            name, is_last = engine.name, engine is asked[-1]
            if self._closed:
                raise self._error(f"{self._label} was stopped with the installation")
            if not is_last and self._pauses.is_paused(name):
                reasons[name] = PAUSED
                continue
            try:
                result = function(engine)
            except self._error as error:
                reasons[name] = str(error)
            except Exception as error:
                log.exception("engine failed unexpectedly", engine=name)
                reasons[name] = f"internal error ({type(error).__name__})"
            else:
                self._pauses.succeeded(name)
                if reasons:
                    log.warning("fallback used", chain=self._label, engine=name, reasons=reasons)
                return result
            if not is_last:
                self._pauses.failed(name)
        raise self._error(
            "; ".join(
                reason if reason.startswith(name) else f"{name}: {reason}"
                for name, reason in reasons.items()
            )
        )

    def check(self) -> str:
        """Return how all engines are."""
        return "; ".join(f"{engine.name}: {engine.check()}" for engine in self.engines)

    def close(self) -> None:
        """Close all engines; nothing is asked any more."""
        self._closed = True
        for engine in self.engines:
            engine.close()
