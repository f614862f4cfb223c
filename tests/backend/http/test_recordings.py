"""What /v1/audio gives out, whole or in part, and everything it does not."""

import os
from pathlib import Path

import pytest

from tests.live import Answer, LiveServer, exchange, get

SESSION = "20261122T000000Z-00000000"
DIRECTORY = f"tts/sessions/{SESSION}/turn_1"
WAV = f"{DIRECTORY}/slot-1_gpt-5.2_calm_soothing.wav"
URL = f"/v1/audio/{WAV}"
CONTENT = b"RIFF" + bytes(range(256)) * 1000
SIZE = len(CONTENT)
SECRET = b"xqcanary"


@pytest.fixture(scope="module", autouse=True)
def tree(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill the artifacts root with WAVs that are served and files that must not be."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "stolen.wav").write_bytes(SECRET)
    for name in ("tts", "waves", "other", ".tmp"):
        directory = root / name / "sessions" / SESSION / "turn_1"
        directory.mkdir(parents=True)
        (directory / Path(WAV).name).write_bytes(SECRET)
    for served in (root / WAV, root / WAV.replace("tts", "waves", 1)):
        served.write_bytes(CONTENT)
    for hidden in (
        ".env",
        "secret.wav",
        "tts/.env",
        "tts/sessions/.hidden.wav",
        "tts/sessions/.wav",
        f"tts/sessions/{SESSION}/session.json",
        f"{DIRECTORY}/a.wav.tmp",
        f"{DIRECTORY}/a.WAV",
        f"{DIRECTORY}/.tmp.wav",
        f"{DIRECTORY}/a b.wav",
        f"{DIRECTORY}/notes.txt",
        f"{HEARD}/transcript.json",
        f"{HEARD}/transcript.txt",
        f"{HEARD}/input.json",
        f"{HEARD}/other.webm",
    ):
        (root / hidden).parent.mkdir(parents=True, exist_ok=True)
        (root / hidden).write_bytes(SECRET)
    (root / DIRECTORY / "directory.wav").mkdir()
    (root / DIRECTORY / "link.wav").symlink_to(outside / "stolen.wav")
    (root / DIRECTORY / "inside.wav").symlink_to(root / WAV)
    (root / "tts/sessions/linked").symlink_to(outside, target_is_directory=True)
    os.mkfifo(root / DIRECTORY / "fifo.wav")
    return root


HEARD = f"stt/sessions/{SESSION}"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("input.webm", "audio/webm"), ("input.mp4", "audio/mp4"), ("input.wav", "audio/wav")],
)
def test_a_visitors_recording_is_served_and_not_cached(
    server: LiveServer, root: Path, name: str, content_type: str
) -> None:
    """Where recordings are kept, whoever may use the server can play one; nobody else keeps it."""
    path = root / HEARD / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)

    answer = get(server.port, f"/v1/audio/{HEARD}/{name}")

    assert (200, CONTENT) == (answer.status, answer.body)
    assert content_type == answer.headers["content-type"]
    assert "no-store" == answer.headers["cache-control"]


REFUSED = [
    f"{HEARD}/transcript.json",
    f"{HEARD}/transcript.txt",
    f"{HEARD}/input.json",
    f"{HEARD}/other.webm",
    "",
    "/",
    "tts",
    "tts/",
    "waves/",
    f"{DIRECTORY}/",
    "secret.wav",
    ".env",
    "tts/.env",
    "tts/.env.wav",
    f"other/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav",
    f".tmp/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav",
    f"TTS/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav",
    f"tts/sessions/{SESSION}/session.json",
    "tts/sessions/.hidden.wav",
    "tts/sessions/.wav",
    f"{DIRECTORY}/missing.wav",
    f"{DIRECTORY}/a.wav.tmp",
    f"{DIRECTORY}/a.WAV",
    f"{DIRECTORY}/.tmp.wav",
    f"{DIRECTORY}/a b.wav".replace(" ", "%20"),
    f"{DIRECTORY}/notes.txt",
    f"{DIRECTORY}/notes.txt%00.wav",
    f"{DIRECTORY}/directory.wav",
    f"{DIRECTORY}/link.wav",
    f"{DIRECTORY}/inside.wav",
    f"{DIRECTORY}/fifo.wav",
    "tts/sessions/linked/stolen.wav",
    "../secret.wav",
    "tts/../secret.wav",
    "tts/../../etc/passwd",
    "tts/sessions/../../secret.wav",
    "tts/%2e%2e/secret.wav",
    "tts/..%2fsecret.wav",
    "tts%2f..%2fsecret.wav",
    "%2e%2e/secret.wav",
    "tts/%252e%252e/secret.wav",
    "tts/..%252fsecret.wav",
    "tts/.%2e/secret.wav",
    "tts/%2e/x.wav",
    "tts/%c0%ae%c0%ae/secret.wav",
    "tts/%ff.wav",
    "tts/..;/secret.wav",
    "tts/....//secret.wav",
    "tts\\..\\secret.wav",
    "tts/..\\secret.wav",
    "tts/..%5csecret.wav",
    "tts%5c..%5csecret.wav",
    f"tts\\sessions\\{SESSION}\\turn_1\\slot-1_gpt-5.2_calm_soothing.wav",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "/tts/secret.wav",
    "C:/secret.wav",
    "tts/C:/secret.wav",
    "tts//sessions/x.wav",
    f"//{WAV}",
    f"tts/.//{WAV[4:]}",
    "file:///etc/passwd",
    "~root/x.wav",
    f"{WAV}%00",
    f"{WAV}%00.txt",
    f"{WAV}%0a",
    f"{WAV}%20",
    f"{WAV}.",
    f"{WAV}/",
    f"{WAV}::$DATA",
    "tts/CON.wav",
    "tts/" + "a" * 5000 + ".wav",
    "tts/" + "a/" * 3000 + "b.wav",
    "tts/%F0%9F%8C%8A.wav",
]


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_everything_else_is_404(server: LiveServer, method: str, path: str) -> None:
    """Whatever is not a finished WAV below tts/ or waves/ does not exist, however it is written."""
    answer = get(server.port, f"/v1/audio/{path}", method=method)

    assert 404 == answer.status
    assert "application/problem+json" == answer.headers["content-type"]
    assert SECRET not in answer.body
    assert method == "GET" or b"" == answer.body


@pytest.mark.parametrize("target", ["/v1/audio/tts/\0.wav", "/v1/audio/tts/\r.wav"])
def test_a_request_that_is_not_http_gets_no_file(server: LiveServer, target: str) -> None:
    """Control characters in the request line are refused by the HTTP parser."""
    answer = get(server.port, target)

    assert answer.status in {400, 404}


@pytest.mark.parametrize("absolute", ["tts/../secret.wav", "secret.wav"])
def test_an_absolute_target_gets_no_other_file(server: LiveServer, absolute: str) -> None:
    """The absolute form of a target is read like the plain one."""
    first = f"GET http://127.0.0.1/v1/audio/{absolute} HTTP/1.1"
    request = f"{first}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    answer = exchange(server.port, request.encode())

    assert 404 == answer.status
    assert SECRET not in answer.body


@pytest.mark.parametrize("target", [URL, URL.replace("tts", "waves", 1), URL + "?v=1"])
def test_a_finished_wav_is_served_whole(server: LiveServer, target: str) -> None:
    """Speech and waves come complete, with their type, their length and leave to keep them."""
    answer = get(server.port, target)

    assert (200, CONTENT) == (answer.status, answer.body)
    assert "audio/wav" == answer.headers["content-type"]
    assert str(SIZE) == answer.headers["content-length"]
    assert "bytes" == answer.headers["accept-ranges"]
    assert "private, max-age=31536000, immutable" == answer.headers["cache-control"]
    assert "nosniff" == answer.headers["x-content-type-options"]


def test_a_percent_encoded_name_is_the_same_name(server: LiveServer) -> None:
    """Harmless escapes are decoded once."""
    answer = get(server.port, URL.replace("slot-1", "slot%2D1"))

    assert (200, SIZE) == (answer.status, len(answer.body))


def test_head_tells_what_get_gives(server: LiveServer) -> None:
    """HEAD has the headers of GET and no body."""
    whole, head = get(server.port, URL), get(server.port, URL, method="HEAD")

    ignored = {"date"}
    assert (200, b"") == (head.status, head.body)
    assert {name: value for name, value in whole.headers.items() if name not in ignored} == {
        name: value for name, value in head.headers.items() if name not in ignored
    }


RANGES = {
    "first": ("bytes=0-99", 0, 100),
    "first byte": ("bytes=0-0", 0, 1),
    "middle": ("bytes=1000-70999", 1000, 71_000),
    "last byte": (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE),
    "open-ended": ("bytes=5000-", 5000, SIZE),
    "suffix": ("bytes=-44", SIZE - 44, SIZE),
    "past the end": (f"bytes={SIZE - 10}-{SIZE + 10}", SIZE - 10, SIZE),
    "suffix longer than the file": (f"bytes=-{SIZE + 1}", 0, SIZE),
    "whole": (f"bytes=0-{SIZE - 1}", 0, SIZE),
    "with blanks": (" bytes=0-9 ", 0, 10),
}


@pytest.mark.parametrize("case", RANGES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_one_range_is_given(server: LiveServer, method: str, case: str) -> None:
    """A single range is 206 with exactly those bytes, and says which they are."""
    header, start, stop = RANGES[case]

    answer = get(server.port, URL, f"Range: {header}", method=method)

    assert 206 == answer.status
    assert f"bytes {start}-{stop - 1}/{SIZE}" == answer.headers["content-range"]
    assert str(stop - start) == answer.headers["content-length"]
    assert "audio/wav" == answer.headers["content-type"]
    assert (CONTENT[start:stop] if method == "GET" else b"") == answer.body


@pytest.mark.parametrize(
    "header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", "bytes=999999999999-"]
)
def test_a_range_outside_is_416(server: LiveServer, header: str) -> None:
    """A range that has no byte of the file is a problem that tells the size."""
    answer = get(server.port, URL, f"Range: {header}")

    assert 416 == answer.status
    assert f"bytes */{SIZE}" == answer.headers["content-range"]
    assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,5-6",
        "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
        "bytes=9-5",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=0x0-0x9",
        "bytes=1-2-3",
        "bytes=--5",
        "bytes=+1-2",
        "bytes= 1-2",
        "items=0-5",
        "bytes=1.5-2",
        "bytes=0-99999999999999999999999",
        "bytes=\xb2-\xb3",
        "bytes=0-" + ",0-" * 1000,
    ],
)
def test_a_header_of_another_form_is_ignored(server: LiveServer, header: str) -> None:
    """Several ranges, and what is no range at all, get the whole file."""
    answer = get(server.port, URL, f"Range: {header}")

    assert (200, CONTENT) == (answer.status, answer.body)
    assert "content-range" not in answer.headers


def etag(server: LiveServer) -> str:
    """Return the tag of the WAV."""
    return get(server.port, URL, method="HEAD").headers["etag"]


@pytest.mark.parametrize("form", ["{}", '"other", {}', "{}, {}", "W/{}", "*"])
def test_a_copy_that_is_right_is_not_sent_again(server: LiveServer, form: str) -> None:
    """If-None-Match with the tag, weakly or among others, or with any tag at all, is 304."""
    tag = etag(server)

    answer = get(server.port, URL, f"If-None-Match: {form.format(tag, tag)}", "Range: bytes=0-9")

    assert (304, b"") == (answer.status, answer.body)
    assert tag == answer.headers["etag"]
    assert "immutable" in answer.headers["cache-control"]


def test_a_copy_that_is_wrong_is_replaced(server: LiveServer) -> None:
    """If-None-Match with another tag gets the file."""
    answer = get(server.port, URL, 'If-None-Match: "other"')

    assert (200, CONTENT) == (answer.status, answer.body)


def test_if_range_joins_only_what_belongs_together(server: LiveServer) -> None:
    """The rest of a file is given to who has its beginning; anybody else gets the whole."""
    right = get(server.port, URL, f"If-Range: {etag(server)}", "Range: bytes=10-19")
    wrong = get(server.port, URL, 'If-Range: "other"', "Range: bytes=10-19")

    assert (206, CONTENT[10:20]) == (right.status, right.body)
    assert (200, CONTENT) == (wrong.status, wrong.body)


def test_many_readers_get_whole_bodies(server: LiveServer) -> None:
    """Requests on one kept connection, whole and in part, do not get into each other's way."""
    with server.client() as client:
        bodies = [
            client.get(URL, headers={"Range": f"bytes={n}-"} if n % 2 else {}).content
            for n in range(20)
        ]

    assert [CONTENT[n:] if n % 2 else CONTENT for n in range(20)] == bodies


def test_no_descriptor_is_left_open(server: LiveServer, tree: Path) -> None:
    """Whole, partial, unchanged, refused or only asked about: the file is closed afterwards."""
    tag = etag(server)
    asked = [
        ("GET", ""),
        ("HEAD", ""),
        ("GET", "Range: bytes=1-2"),
        ("HEAD", "Range: bytes=1-2"),
        ("GET", "Range: bytes=999999999-"),
        ("GET", f"If-None-Match: {tag}"),
    ]

    answers: list[Answer] = [
        get(server.port, URL, *filter(None, [header]), method=method) for method, header in asked
    ]

    assert [200, 200, 206, 206, 416, 304] == [answer.status for answer in answers]
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    held = [os.readlink(link) for link in links]  # noqa: PTH115 - a socket's is no path
    assert str(tree / WAV) not in held
