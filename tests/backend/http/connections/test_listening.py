"""Sockets to listen on: whatever is in the way is told in a sentence that says what to do."""

import errno
import os
import socket

import pytest

from backend.errors import ListenError
from backend.http.connections import listening
from tests.command import free_port


def why_not(host: str, port: int) -> str:
    with pytest.raises(ListenError) as told, listening(host, port):
        pass
    return str(told.value)


def test_a_client_may_connect_before_the_server_accepts() -> None:
    """From the start a connection waits instead of being refused, on every address of the host."""
    port = free_port()
    with listening("127.0.0.1", port), socket.create_connection(("127.0.0.1", port), 1) as client:
        assert port == client.getpeername()[1]


def test_a_taken_port_is_named_with_the_way_out() -> None:
    """The sentence has the port, the setting and the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = why_not("127.0.0.1", port)

    assert f"port {port} " in said
    assert "RR_PORT" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_told(host: str) -> None:
    """It names the address, whether or not this machine has IPv6."""
    said = why_not(host, free_port())

    assert host in said
    assert "RR_HOST" in said


def test_a_name_that_nobody_knows_is_told() -> None:
    """It names the name."""
    said = why_not("no-such-host.invalid", free_port())

    assert "'no-such-host.invalid' is not a name" in said


def test_a_port_for_the_system_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not have the port is told of a higher one."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", refuse)

    assert "below 1024" in why_not("127.0.0.1", 80)


def test_ipv6_is_listened_on() -> None:
    """An IPv6 address is as good as one of IPv4."""
    if not socket.has_ipv6:
        pytest.skip("this Python knows no IPv6")
    port = free_port()
    try:
        with listening("::1", port), socket.create_connection(("::1", port), 1) as client:
            assert port == client.getpeername()[1]
    except ListenError as error:
        pytest.skip(str(error))
