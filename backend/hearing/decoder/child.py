"""Decodes one recording in a child process; `backend.children` holds the protocol.

A request holds "sample_rate" and "max_bytes" of the PCM, and the file; the answer "mime_type" and
the PCM, or "refused" and why. The container is chosen by the first bytes alone, so that no other
demuxer of ffmpeg is tried: playlists, images and subtitles are never opened, nor is any file.
"""

import io
from contextlib import suppress
from typing import Any

MEMORY_BYTES = 512 * 2**20
CPU_S = 10
"""Ends this process should the parent not be there to do it."""
CODECS = (
    "opus,libopus,vorbis,aac,mp3,mp3float,flac,alac,"
    "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw"
)
MAX_BAD_PACKETS = 100


class NotAudioError(Exception):
    """There is nothing to decode."""


def load() -> None:
    """Import the decoder and limit this process."""
    import av.audio.resampler
    import av.container  # noqa: F401 - the first recording shall not wait for it

    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - as quick
        file.write("1000")  # on Linux it is ended first when memory runs out
    with suppress(ImportError):  # Windows has no such limits; the parent's time limit holds
        import resource

        limits = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CPU": CPU_S, "RLIMIT_FSIZE": 0}
        for name, value in limits.items():
            with suppress(ValueError, OSError):  # macOS refuses a limit below what is mapped
                resource.setrlimit(getattr(resource, name), (value, value))


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request."""
    try:
        demuxer, mime_type = find_container(data)
        pcm = decode(data, demuxer, request["sample_rate"], request["max_bytes"])
    except Exception as error:  # noqa: BLE001 - whatever a file causes, it is refused
        reason = str(error) if isinstance(error, NotAudioError) else type(error).__name__
        return {"refused": reason}, b""
    return {"mime_type": mime_type}, pcm


def find_container(data: bytes) -> tuple[str, str]:
    """Return ffmpeg's demuxer for `data`, and the MIME type."""
    if data[:4] == b"\x1aE\xdf\xa3":
        return "matroska", "audio/webm" if b"webm" in data[:64] else "audio/x-matroska"
    if data[4:8] == b"ftyp":
        return "mp4", "audio/mp4"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav", "audio/wav"
    for start, demuxer, mime_type in (
        (b"OggS", "ogg", "audio/ogg"),
        (b"fLaC", "flac", "audio/flac"),
        (b"ID3", "mp3", "audio/mpeg"),
    ):
        if data.startswith(start):
            return demuxer, mime_type
    # A frame of MPEG audio: eleven bits set, then a layer that is not 0.
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06:
        return "mp3", "audio/mpeg"
    raise NotAudioError("unknown container")


def decode(data: bytes, demuxer: str, sample_rate: int, max_bytes: int) -> bytes:
    """Return the first audio stream as mono 16-bit PCM, cut after `max_bytes`.

    A packet that cannot be decoded is left out: the end of a recording may be missing.
    """
    import av

    pcm = bytearray()
    bad_packets = 0
    with av.open(
        io.BytesIO(data),
        "r",
        format=demuxer,
        metadata_errors="ignore",
        container_options={"codec_whitelist": CODECS, "format_whitelist": _whitelist(demuxer)},
        options={"threads": "1"},
        io_open=_refuse_to_open,
    ) as container:
        if not container.streams.audio:
            raise NotAudioError("no audio stream")
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
        packets = container.demux(stream)
        while len(pcm) < max_bytes and bad_packets < MAX_BAD_PACKETS:
            try:
                packet = next(packets, None)
                for frame in packet.decode() if packet is not None else [None]:
                    for part in resampler.resample(frame):
                        pcm += memoryview(part.planes[0])[: 2 * part.samples]
            except av.error.InvalidDataError:
                bad_packets += 1
                continue
            if packet is None:
                break
    if not pcm:
        raise NotAudioError("no sample could be decoded")
    return bytes(pcm[:max_bytes])


def _whitelist(demuxer: str) -> str:
    return {"mp4": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}.get(demuxer, demuxer)


def _refuse_to_open(*_: object) -> Any:
    raise NotAudioError("it refers to another file")
