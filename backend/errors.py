"""The errors of the host.

    ReflectiveResonanceError
    ├── SettingsError      a setting is wrong
    ├── UsageError         what was typed cannot be done
    ├── ListenError        the address or port to listen on is not available
    ├── ServerError        the server that runs does not answer, or refuses
    │   └── NoServerError        nothing listens at its address
    ├── PluginError        a plugin cannot be found, configured or started
    ├── ArtifactError      a path or a file under the artifacts root
    │   ├── ArtifactsInUseError  another process uses it
    │   └── SessionGoneError     the session's files are being removed
    ├── AgentError         an agent gave no usable answer
    ├── SpeechError        an utterance could not be spoken
    └── HearingError       a recording could not be transcribed
        ├── NotAudioError      it is no audio that can be read
        ├── NotHeardError      it is too short, too long, or nothing in it was understood
        └── HearingBusyError   too many recordings wait

A message says what was wrong, with the value, and what to do. It never contains a key or a
visitor's words: messages are logged and shown to visitors.
"""

from typing import ClassVar, Final, Literal

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""As a shell reports a program that SIGINT ended: 128 + 2."""

SlotErrorType = Literal["network", "timeout", "rate_limit", "server_error", "tts_error", "unknown"]
"""The `type` of a `slot.error` event."""


class ReflectiveResonanceError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code: ClassVar[int] = EXIT_FAILED
    """Exit code of a command that it ends."""


class SettingsError(ReflectiveResonanceError):
    """A setting is out of range or contradicts another."""

    exit_code = EXIT_USAGE


class UsageError(ReflectiveResonanceError):
    """What was typed cannot be done; the message says what to type."""

    exit_code = EXIT_USAGE


class ListenError(ReflectiveResonanceError):
    """The address or port to listen on is not available."""


class ServerError(ReflectiveResonanceError):
    """The server that runs does not answer, or refuses what a command asks."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """That of its answer; 0 without one."""


class NoServerError(ServerError):
    """Nothing listens at the address of the server."""


class PluginError(ReflectiveResonanceError):
    """A plugin cannot be found, configured or started."""

    exit_code = EXIT_USAGE


class ArtifactError(ReflectiveResonanceError):
    """A path is not allowed, or a file could not be written, under the artifacts root."""


class ArtifactsInUseError(ArtifactError):
    """Another process uses the artifacts root."""

    exit_code = EXIT_USAGE


class SessionGoneError(ArtifactError):
    """The files of the session are being removed."""


class AgentError(ReflectiveResonanceError):
    """An agent gave no usable answer; `type` is what `slot.error` reports."""

    def __init__(self, message: str, *, type: SlotErrorType = "unknown") -> None:  # noqa: A002 - the event's own name
        super().__init__(message)
        self.type: SlotErrorType = type


class SpeechError(ReflectiveResonanceError):
    """An utterance could not be spoken; reported as `slot.error` of type `tts_error`."""


class HearingError(ReflectiveResonanceError):
    """A recording could not be transcribed; the message can be shown to the visitor."""


class NotAudioError(HearingError):
    """The recording is no audio, or in no container that can be read."""


class NotHeardError(HearingError):
    """The recording is too short or too long, or nothing in it was understood."""


class HearingBusyError(HearingError):
    """Too many recordings wait; try again in `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
