"""What a plugin's command needs of the host: artifacts, the server, a voice, an end by Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from backend.config import Settings, client_context
from backend.errors import NoServerError, ServerError, UsageError
from backend.storage import Artifacts

if TYPE_CHECKING:
    import httpx2

ANSWER_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server of this installation can be reached, and the token it asks for."""

    base_url: str
    token: str = field(repr=False)
    certificate: Path | None = None
    """That of a server with HTTPS."""

    def client(self, limit_s: float = ANSWER_LIMIT_S) -> "httpx2.Client":
        """Return an HTTP client that sends the token and trusts the server's certificate.

        It ignores the proxy of the environment, which may not reach this machine's own programs.
        """
        import httpx2

        return httpx2.Client(**self._options(limit_s))

    def async_client(self, limit_s: float = ANSWER_LIMIT_S) -> "httpx2.AsyncClient":
        """Return the same for asyncio, with the address, for any number of connections."""
        import httpx2

        limits = httpx2.Limits(max_connections=None)
        return httpx2.AsyncClient(base_url=self.base_url, limits=limits, **self._options(limit_s))

    def _options(self, limit_s: float) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        verify = client_context(self.certificate) if self.certificate else True
        return {"timeout": limit_s, "trust_env": False, "verify": verify, "headers": headers}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON that the server answers with, None if it is empty.

        Raises
        ------
        ServerError
            If no server answers, a NoServerError if nothing listens there, or if it refuses; the
            message says why and what to do.
        """
        import httpx2

        try:
            with self.client() as client:
                answer = client.request(method, f"{self.base_url}{path}", json=body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            kind = NoServerError if _is_refused(error) else ServerError
            raise kind(
                f"no server answers at {self.base_url} ({type(error).__name__}): start one with "
                "`reflective-resonance serve`"
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = f"status {answer.status_code}"
        raise ServerError(
            f"the server at {self.base_url} refuses: {detail}", status=answer.status_code
        )


def _is_refused(error: BaseException | None) -> bool:
    """Return whether the system has refused the connection: nothing listens there."""
    while error and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def server_in_settings() -> Server:
    """Return the server that the settings describe."""
    settings = Settings.load()
    token = settings.api_token
    secret = token.get_secret_value() if token else ""
    return Server(settings.base_url, secret, settings.tls_certificate)


def spoken(text: str) -> bytes:
    """Return the WAV of a text, spoken by the voice of the settings without a server.

    Raises
    ------
    SpeechError
        If nothing could be spoken; a SettingsError if the settings of the voice are wrong.
    """
    from backend.speech import create_speech, spoken_wav

    with TemporaryDirectory() as folder:
        engine = create_speech(Settings.load(), Path(folder))
        try:
            return spoken_wav(engine, text, Path(folder))
        finally:
            engine.close()


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
