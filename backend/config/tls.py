"""Contexts of TLS: that of the server, and that of commands which talk to their own server."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

_END = "-----END CERTIFICATE-----"


def server_context(certificate: Path, key: Path) -> "SSLContext":
    """Return the context of a server; OSError (also ssl.SSLError) if the files cannot be used."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key, password="")  # never ask the terminal for one
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(certificate: Path) -> "SSLContext":
    """Return a context that trusts this very certificate and no other, whatever its names are."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is trusted by itself, not by its name
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    own, end, _ = certificate.read_text(encoding="ascii", errors="replace").partition(_END)
    context.load_verify_locations(cadata=own[own.find("-----BEGIN") :] + end)
    return context
