"""Open the listening sockets before anything else starts, or say why that fails."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backend.errors import ListenError

WAITING_CONNECTIONS = 128
"""Connections that the system holds until they are accepted."""
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Open a listening socket for each address of `host`, or raise ListenError with the reason."""
    with ExitStack() as held:
        sockets = []
        missing: OSError | None = None
        try:
            for family, address in _addresses(host, port):
                try:
                    sockets.append(held.enter_context(_listen(family, address)))
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    missing = error  # such as ::1 of localhost, on a machine without IPv6
            if missing and not sockets:
                raise missing
        except OSError as error:
            raise ListenError(_reason(error, host, port)) from error
        yield sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(WAITING_CONNECTIONS)
    except BaseException:
        made.close()
        raise
    return made


def _reason(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"{host!r} is not a name or an address of this machine: set RR_HOST or use --host"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken, by another program or an earlier start of this one: "
            "stop that, or set RR_PORT or use --port for another port"
        )
    if error.errno == errno.EACCES:
        return (
            f"this user may not listen on port {port}, as on most below 1024: "
            "set RR_PORT or use --port for a higher one"
        )
    if error.errno in _NOT_HERE:
        return (
            f"{host} is not an address of this machine: set RR_HOST or use --host; "
            "127.0.0.1 is this machine alone, 0.0.0.0 all of its network"
        )
    return f"cannot listen on port {port} of {host}: {error.strerror or error}"
