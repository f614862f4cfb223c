"""Host names and origins in one form, and what is none."""

from pathlib import Path

import pytest

from backend.config import Settings, origin_of, split_host
from backend.errors import SettingsError

ORIGINS = {
    "http://show.example": "http://show.example",
    "HTTP://Show.Example:80/": "http://show.example",
    "https://show.example:443": "https://show.example",
    "https://show.example:80": "https://show.example:80",
    "http://show.example:": "http://show.example",
    " http://127.0.0.1:5173 ": "http://127.0.0.1:5173",
    "http://[0:0:0:0:0:0:0:1]:8000": "http://[::1]:8000",
    "http://Wärme.example": "http://xn--wrme-loa.example",
    "http://show_pc": "http://show_pc",
}
NO_ORIGINS = [
    "", "null", "file://", "file:///home/show/page.html", "show.example", "//show.example",
    "http://", "http:///", "http://show.example/page", "http://show.example?a", "http://a#b",
    "http://user@show.example", "http://*.example", "http://[::1", "http://::1", "http://a:b",
    "http://a:99999", "http://a b", "http://a\\b", "ws://show.example", "chrome-extension://abc", "http://a..b",
]  # fmt: skip


@pytest.mark.parametrize("given", ORIGINS)
def test_an_origin_has_one_form(given: str) -> None:
    """It is that which a browser sends: lower case, no port that the scheme implies."""
    assert ORIGINS[given] == origin_of(given)
    assert ORIGINS[given] == origin_of(origin_of(given))


@pytest.mark.parametrize("given", NO_ORIGINS)
def test_anything_else_is_no_origin(given: str) -> None:
    """What a browser never sends for a page of the web is refused, in the settings too."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the settings say how
        origin_of(given)
    if given:
        with pytest.raises(ValueError, match="is not an origin: write it like"):
            Settings(cors_origins=(given,))


def test_settings_hold_what_clients_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in another form is changed, what can never match is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RR_CORS_ORIGINS", "HTTP://Show.Example:80/, *")
    monkeypatch.setenv("RR_ALLOWED_HOSTS", "Show.Example,[::1]")

    settings = Settings.load()

    assert ("http://show.example", "*") == settings.cors_origins
    assert ("show.example", "[::1]") == settings.allowed_hosts
    for name in ("show.example:8000", "http://show.example", "*", "*.example", "a/b"):
        monkeypatch.setenv("RR_ALLOWED_HOSTS", name)
        with pytest.raises(SettingsError, match="is not a name: write it without a scheme"):
            Settings.load()


@pytest.mark.parametrize(
    "given", ["127.0.0.1#.evil", "a@b", "a/b", "a?b", "", ":80", "a:b:c", "a:1:2"]
)
def test_a_host_is_a_name_and_a_port_and_no_more(given: str) -> None:
    """What a parser of addresses would cut off is not cut off."""
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says what it is
        split_host(given)
