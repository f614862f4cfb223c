"""The files of the pages, and the code of others among them."""

import json
from hashlib import sha256
from pathlib import Path

from plugins.console import assets

VENDOR = Path(assets.__file__).parent / "page" / "vendor"


def test_the_manifest_names_every_file_of_others_with_its_hash() -> None:
    """What stands in `vendor` is what the manifest says, and nothing else."""
    manifest = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))

    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.mjs")}

    assert there == {name: row["sha256"] for name, row in manifest.items()}
    for row in manifest.values():
        assert row["version"]
        assert row["license"]
        assert (VENDOR / row["licenseFile"]).read_text(encoding="utf-8").strip()
