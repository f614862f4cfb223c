"""The files of the two pages, read once and compressed once.

Nothing of the disk is read for a request, so no path in an address can leave the folder. A page
names all modules that it imports: a browser asks for them at once, not for one level after another.
"""

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from posixpath import dirname, join, normpath
from string import Template

FOLDER = Path(__file__).parent / "page"
PAGES = ("visitor", "console")
TEMPLATE = "page.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORTED = re.compile(r"""\b(?:import|export)\b[^"'();]*?\bfrom\s*["']([^"']+)""")
_INLINE = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)
_POLICY = (
    "default-src 'self'; script-src 'self'{hashes}; img-src 'self' data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent; `policy` is its Content-Security-Policy, if it is a page."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by path; `version` changes with any of them."""

    files: Mapping[str, Asset]
    version: str


def load_assets() -> Assets:
    """Read the files of the pages."""
    content = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.suffix in MEDIA_TYPES
    }
    template = content.pop(TEMPLATE)
    content |= {f"{page}.html": _page(template, page, content) for page in PAGES}
    found = {name: _asset(name, one) for name, one in content.items()}
    digest = sha256("".join(f"{name}{one.etag}" for name, one in sorted(found.items())).encode())
    return Assets(found, digest.hexdigest()[:16])


def _page(template: bytes, page: str, content: Mapping[str, bytes]) -> bytes:
    """Return the page that starts `<page>/app.mjs`."""
    (importmap,) = _INLINE.findall(template)
    addresses: dict[str, str] = json.loads(importmap)["imports"]
    modules = [f"/page/{page}/app.mjs"]
    for module in modules:  # which grows
        text = content[module.removeprefix("/page/")].decode()
        for name in _IMPORTED.findall(text):
            imported = addresses.get(name) or normpath(join(dirname(module), name))
            if imported not in modules:
                modules.append(imported)
    preloads = "\n".join(f'<link rel="modulepreload" href="{one}">' for one in modules)
    return Template(template.decode()).substitute(page=page, preloads=preloads).encode()


def _asset(name: str, content: bytes) -> Asset:
    hashes = "".join(
        f" 'sha256-{b64encode(sha256(one).digest()).decode()}'" for one in _INLINE.findall(content)
    )
    return Asset(
        content,
        gzip.compress(content, mtime=0),
        MEDIA_TYPES[Path(name).suffix],
        f'"{sha256(content).hexdigest()[:32]}"',
        _POLICY.format(hashes=hashes) if name.endswith(".html") else "",
    )
