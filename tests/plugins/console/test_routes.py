"""The files of the two pages as a browser gets them, and that they need nothing from elsewhere."""

import gzip
import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from posixpath import join, normpath

import pytest

from plugins.console import assets
from tests.live import LiveServer, get

FILES = {name: one.content for name, one in assets.load_assets().files.items()}
PAGES = {"/": "visitor.html", "/console": "console.html"}
ADDRESSES = {**{f"/page/{name}": name for name in FILES}, **PAGES}
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""")
FETCHED = re.compile(r"""\b(?:href|src)=["']([^"']+)["']|\burl\(["']?([^"')]+)""")
LOADED = re.compile(r"""["'`](/page/[\w./-]+)["'`]|new URL\(["']([^"']+)["'], import\.meta\.url""")
NAMESPACE = "http://www.w3.org/"
"""Names of vocabularies begin so and look like addresses; nothing is fetched from there."""


def test_every_file_is_sent_as_it_is(server: LiveServer) -> None:
    """Each has its media type, and a browser may neither guess another nor keep it unasked."""
    for address, name in ADDRESSES.items():
        answer = get(server.port, address)

        assert 200 == answer.status, address
        assert FILES[name] == answer.body, address
        assert assets.MEDIA_TYPES[Path(name).suffix] == answer.headers["content-type"], address
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "no-cache" == answer.headers["cache-control"]
        assert "no-referrer" == answer.headers["referrer-policy"]
        assert "same-origin" == answer.headers["cross-origin-opener-policy"]


def test_a_browser_that_understands_gzip_gets_less(server: LiveServer) -> None:
    """It is the same file, and a cache in between keeps the two apart."""
    for address, name in ADDRESSES.items():
        answer = get(server.port, address, "Accept-Encoding: gzip, br")

        assert "gzip" == answer.headers["content-encoding"]
        assert "accept-encoding" in answer.headers["vary"]
        assert FILES[name] == gzip.decompress(answer.body), address


def test_a_file_that_has_not_changed_is_not_sent_again(server: LiveServer) -> None:
    """The etag of an answer leads to 304 without content; that of another file does not."""
    tags = {address: get(server.port, address).headers["etag"] for address in ADDRESSES}

    for address, tag in tags.items():
        same = get(server.port, address, f"If-None-Match: {tag}")
        assert (304, b"", tag) == (same.status, same.body, same.headers["etag"]), address
    assert 200 == get(server.port, "/", f"If-None-Match: {tags['/console']}").status


@pytest.mark.parametrize("address", PAGES)
def test_a_page_may_load_only_what_is_ours(server: LiveServer, address: str) -> None:
    """Only the import map may stand inline, by its hash; no page may frame ours."""
    answer = get(server.port, address)
    policy = answer.headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (inline,) = re.findall(rb"<script type=\"importmap\">(.*?)</script>", answer.body, re.DOTALL)

    digest = b64encode(sha256(inline).digest()).decode()
    assert f"'self' 'sha256-{digest}'" == rules["script-src"]
    assert "'self'" == rules["default-src"]
    for name in ("base-uri", "form-action", "frame-ancestors", "object-src"):
        assert "'none'" == rules[name]
    assert "unsafe" not in policy
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert re.search(rb"\sstyle=|\son\w+=|<style|javascript:", answer.body) is None
    assert 2 == answer.body.count(b"<script")


@pytest.mark.parametrize(
    "path",
    [
        *("none.mjs", "visitor", "", "visitor/", "/visitor.html", "./visitor.html", "VISITOR.HTML"),
        *("../plugin.py", "..%2fplugin.py", "%2e%2e/plugin.py", "vendor/../visitor.html"),
        *("vendor/preact.LICENSE", "visitor.html%00", "visitor.html%20", "C:/page/visitor.html"),
    ],
)
def test_another_path_is_unknown(server: LiveServer, path: str) -> None:
    """Only the very name of a file leads to it: no folder, nothing beside it, nothing above."""
    answer = get(server.port, f"/page/{path}")

    assert 404 == answer.status
    assert "application/problem+json" == answer.headers["content-type"]
    assert b"no file of that name" in answer.body


def test_the_pages_can_only_be_read(server: LiveServer) -> None:
    """Every other method is refused."""
    methods = ("POST", "PUT", "DELETE", "PATCH")

    assert {405} == {get(server.port, one, method=m).status for one in PAGES for m in methods}


def needed() -> dict[str, set[str]]:
    """Return the files that each file names: imports, links, styles, and what it loads later."""
    found: dict[str, set[str]] = {}
    for name in FILES:
        if name.startswith("vendor/") or name.endswith(".json"):
            continue
        text = read(name)
        names = {
            one for pair in FETCHED.findall(text) + LOADED.findall(text) for one in pair if one
        }
        if name.endswith(".mjs"):
            names = {one for pair in LOADED.findall(text) for one in pair if one}
            names |= {mapped(one) for one in IMPORT.findall(text)}
        found[name] = {one for one in names if not one.startswith(("data:", "#"))}
    return found


def mapped(name: str) -> str:
    """Return what the import map makes of a name."""
    (text,) = set(
        re.findall(r"<script type=\"importmap\">(.*?)</script>", "".join(map(read, PAGES.values())))
    )
    addresses: dict[str, str] = json.loads(text)["imports"]
    return addresses.get(name, name)


def read(name: str) -> str:
    """Return a file's text."""
    return FILES[name].decode()


def test_what_a_file_names_is_there() -> None:
    """Every module, style, picture and worklet that a file of ours names is sent."""
    missing = {
        (name, one)
        for name, names in needed().items()
        for one in names
        if one not in PAGES and normpath(join("/page/" + name, "..", one)) not in ADDRESSES
    }

    assert set() == missing


def test_no_file_names_another_host() -> None:
    """Nothing is fetched from elsewhere: no address with a host stands in a file of ours."""
    named = {
        (name, address)
        for name in FILES
        if name != "vendor/manifest.json"
        for address in re.findall(r"\b(?:https?|wss?)://[^\s\"'`)>]+", read(name))
        if not address.startswith(NAMESPACE)
    }

    assert set() == named
