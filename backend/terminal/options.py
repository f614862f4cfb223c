"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="Print data as JSON on stdout, all else on stderr.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only list the files; a server may be running.")
]
ArtifactsArgument = Annotated[
    Path | None, typer.Argument(help="The artifacts directory; by default that of the settings.")
]
