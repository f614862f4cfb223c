"""HTTP/1.1 as uvicorn reads it, with one answer for a request that breaks off as no HTTP."""

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle


class Http1(H11Protocol):
    """uvicorn's protocol; it would answer 400 beside the answer of the application, an error."""

    def send_400_response(self, msg: str) -> None:
        """Answer 400 for what cannot be read, unless a request before it is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:  # it is whole: what follows it is never read
                self.flow.pause_reading()
                return
            cycle.disconnected = True  # the rest of its body will not come, nor does it count
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)
