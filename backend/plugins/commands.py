"""What a plugin's command needs of the host: the artifacts, the server, an end by Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.config import Settings
from backend.errors import UsageError
from backend.storage import Artifacts


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server of this installation can be reached, and the token it asks for."""

    base_url: str
    token: str = field(repr=False)


def server_in_settings() -> Server:
    """Return the server that the settings describe."""
    settings = Settings.load()
    token = settings.api_token
    return Server(settings.base_url, token.get_secret_value() if token else "")


def existing_artifacts(directory: Path | None) -> Artifacts:
    """Return the artifacts root at `directory`, or that of the settings; it must exist."""
    root = directory or Settings.load().artifacts_dir
    if not root.is_dir():
        raise UsageError(f"{root} is not a directory: name the artifacts directory of a server")
    return Artifacts(root)


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Run the block; Ctrl-C, or an error of the system, that ends it is shown with `kept`."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept) from None
    except OSError as error:
        raise OSError(f"stopped: {error}; {kept}") from error
