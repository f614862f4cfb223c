"""Host names and origins of web pages in the one form that a browser sends."""

import ipaddress
import re

MAX_PORT = 65_535
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::(\d{0,5}))?")
_NAME = re.compile(r"[a-z0-9._-]{1,253}")


def split_host(text: str) -> tuple[str, int | None]:
    """Return the name or address in lower case, and the port, of `show.example:8000`.

    Raises ValueError if it is neither a name nor an address, such as `*.example` or `a#b`.
    """
    match = _HOST.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    name, port = match.groups()
    if name.startswith("["):
        name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
    elif not _NAME.fullmatch(name := name.encode("idna").decode().lower()):
        raise ValueError(text)
    if int(port or 0) > MAX_PORT:
        raise ValueError(text)
    return name, int(port) if port else None


def origin_of(text: str) -> str:
    """Return an origin in lower case and without the port of its scheme (RFC 6454, 6.2).

    Raises ValueError if it is none, such as `null`, `file://` or an address with a path.
    """
    scheme, _, rest = text.strip().partition("://")
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise ValueError(text)
    name, port = split_host(rest.removesuffix("/"))
    return f"{scheme}://{name}" + ("" if port in {None, _PORTS[scheme]} else f":{port}")
