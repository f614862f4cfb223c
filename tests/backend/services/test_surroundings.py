"""A variable of another program that forbids HTTPS is named."""

import httpx2
import pytest

from backend.errors import SettingsError
from backend.services import named_surroundings
from backend.services.surroundings import VARIABLES


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE=/nowhere/ca.pem"),
        ("HTTPS_PROXY", "http://me:xqsecret@host:port", "HTTPS_PROXY=http://********@host:port"),
        ("ALL_PROXY", "gopher://127.0.0.1:9", "ALL_PROXY=gopher://127.0.0.1:9"),
    ],
)
def test_it_is_named_with_its_value(
    variable: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable stands in the message, a password in it does not."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as caught, named_surroundings():
        httpx2.Client()

    assert str(caught.value).startswith(f"{shown}: no service can be asked")
    assert "xqsecret" not in str(caught.value).partition(" (")[0]


def test_any_other_failure_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without such a variable nothing is blamed on one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    with pytest.raises(ValueError, match=r"^other$"), named_surroundings():
        raise ValueError("other")
