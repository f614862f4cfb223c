"""dishes.toml: what each channel plays, and what is said when it is wrong."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from backend.errors import SettingsError
from plugins.playback.dishes import BUILT_IN, Channel, Dishes, Notch, Source, load_dishes

WHOLE = """
[[channel]]
name = "dish 1"
plays = ["slot 1", "slot 1 speech at -6 dB"]
level_db = -20
cap_db = -12.5
notch = [{hz = 24, db = 12, width = 6}]
polarity = -1
delay_ms = 3.5
[[channel]]
name = "loudspeaker"
plays = ["slot 2 wave 3", "slot 6 faraday at +6 dB", "slot 1 slots wave 2"]
level_db = 0
notch = [{hz = 24, db = 12, width = 6}, {hz = 70, db = -3, width = 9}]
"""


def written(tmp_path: Path, text: str) -> Path:
    """Return a dishes.toml of `text`."""
    path = tmp_path / "dishes.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_a_file_each_slot_has_its_channel_at_a_level_below_the_cap() -> None:
    """Three waves in phase at full scale stay below the cap without the limiter, nearly."""
    channels = load_dishes(None).channels

    assert ["dish 1", "dish 2", "dish 3", "dish 4", "dish 5", "dish 6"] == [
        one.name for one in channels
    ]
    for slot_id in range(1, 7):
        for wave in (1, 2, 3):
            assert {slot_id - 1: pytest.approx(0.1)} == dict(BUILT_IN.gains(slot_id, "v3", wave))
    assert () == BUILT_IN.gains(1, "speech", 1)
    assert {-12.0} == {one.cap_db for one in channels}


def test_a_file_says_everything_of_each_channel(tmp_path: Path) -> None:
    """Levels of a source and of its channel add up, and polarity is the sign."""
    dishes = load_dishes(written(tmp_path, WHOLE))
    first, second = dishes.channels

    assert ("dish 1", -20, -12.5, -1, 3.5) == (
        *(first.name, first.level_db, first.cap_db, first.polarity, first.delay_ms),
    )
    assert (Notch(24, 12, 6),) == first.notch
    assert ("loudspeaker", Channel("").cap_db) == (second.name, second.cap_db)
    assert (Source(2, "v3", 3, 0.0), Source(6, "faraday", 0, 6.0)) == second.plays[:2]
    assert [24, 70] == [one.hz for one in second.notch]
    for source, expected in {
        (1, "speech", 1): {0: -(10 ** (-26 / 20))},
        (1, "v3", 2): {0: -0.1},
        (6, "faraday", 7): {1: 10 ** (6 / 20)},
        (2, "v3", 1): {},
        (2, "v3", 3): {1: 1.0},
        (1, "slots", 1): {},
        (1, "slots", 2): {1: 1.0},
    }.items():
        assert pytest.approx(expected) == dict(dishes.gains(*source))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("level_db = 30", ("level_db = 30", "-80 to 24")),
        ('cap_db = "loud"', ("cap_db = 'loud'", "-80 to 0")),
        ("cap_db = 0.5", ("cap_db = 0.5", "-80 to 0")),
        ("delay_ms = nan", ("delay_ms = nan", "0 to 1000")),
        ("level_db = true", ("level_db = True", "a number")),
        ("polarity = 0", ("polarity = 0", "1 or -1")),
        ('plays = "slot 1"', ("plays = 'slot 1'", "must be a list")),
        ('plays = ["slot 7"]', ("plays 1 = 'slot 7'", "slots 1 to 6")),
        ('plays = ["slot 1 wave 2 louder"]', ("'slot 1 wave 2 louder'", "slot 1 faraday")),
        ('plays = ["slot 1 farady"]', ("no profile 'farady'", "faraday, slots, speech, v3")),
        ('plays = ["slot 1 wave 4"]', ("'slot 1 wave 4'", "waves of v3 in slot 1 are: 1, 2, 3")),
        ('plays = ["slot 1 speech wave 2"]', ("waves of speech in slot 1 are: 1",)),
        ('plays = ["slot 1 faraday wave 9"]', ("'slot 1 faraday wave 9'", "in slot 1 are: 1")),
        ('plays = ["slot 4 slots wave 3"]', ("waves of slots in slot 4 are: 1, 2, 4",)),
        ('plays = ["slot 1 at 60 dB"]', ("'slot 1 at 60 dB'", "at most +12 dB")),
        ("notch = 24", ("notch = 24", "must be a list")),
        ("notch = [{hz = 24, db = 12}]", ("notch 1 width", "missing")),
        ("notch = [{hz = 24, db = 12, width = 60}]", ("notch 1", "1.9 times hz, 45.6")),
        ("notch = [{hz = 1, db = 12, width = 1}]", ("notch 1 hz = 1", "2 to 2000")),
        ("loudness = 3", ("loudness = 3", "no such key")),
    ],
)
def test_a_wrong_entry_is_named_with_its_value_and_what_it_may_be(
    line: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Each is one line, with the path of the file and the number of the channel."""
    with pytest.raises(SettingsError) as raised:
        load_dishes(written(tmp_path, f'[[channel]]\nname = "a"\n{line}\n'))

    expected = ("dishes.toml, line 3: [[channel]] 1 ", *words)
    assert [] == [word for word in expected if word not in str(raised.value)]
    assert 1 == len(str(raised.value).splitlines())


TIDES = """
class Tide:
    def targets(self, slot_id):
        return {0: (2, 0, 0), 3: (5, 0, 0, 0)}.get(slot_id, (slot_id,))
class Broken:
    def targets(self, slot_id):
        raise LookupError("no moon")
tide, broken = Tide(), Broken()
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("slot 5 tide wave 1", ""),
        ("slot 3 tide wave 4", ""),
        ("slot 4 tide wave 3", ""),
        ("slot 3 tide wave 1", "the waves of tide in slot 3 are: 2, 3, 4"),
        ("slot 2 tide wave 4", "the waves of tide in slot 2 are: 1, 2, 3"),
        ("slot 1 broken", "the profile 'broken' cannot be loaded: LookupError('no moon')"),
        ("slot 1 none", "the profile 'none' cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_wave_of_another_makers_profile_is_one_that_it_makes(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the profile says of its targets; what is never played there is an error."""
    (tmp_path / "tides_of_a_test.py").write_text(TIDES, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    values = {
        "tide": "tides_of_a_test:tide",
        "broken": "tides_of_a_test:broken",
        "none": "no_such_tides:tide",
    }
    points = EntryPoints(
        EntryPoint(*one, "reflective_resonance.profiles") for one in values.items()
    )
    monkeypatch.setattr("plugins.playback.dishes.entry_points", lambda group: points)
    path = written(tmp_path, f'[[channel]]\nname = "a"\nplays = ["{source}"]\n')

    problem = ""
    try:
        load_dishes(path)
    except SettingsError as error:
        problem = str(error)

    assert bool(words) == bool(problem)
    assert words in problem


def test_each_wrong_entry_has_its_line(tmp_path: Path) -> None:
    """Those of the second channel too."""
    text = '[[channel]]\nname = "a"\n\n[[channel]]\nname = "b"\ncap_db = 1\ndelay_ms = -1\n'

    with pytest.raises(SettingsError) as raised:
        load_dishes(written(tmp_path, text))

    found = [line.split(" = ")[0].partition(", ")[2] for line in str(raised.value).splitlines()]
    assert ["line 6: [[channel]] 2 cap_db", "line 7: [[channel]] 2 delay_ms"] == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[[channel]]\nname = 'a'\n[[channel]]\nlevel_db = -20\nname = 'a'\n",
            "line 5: [[channel]] 2 name = 'a': each must have a name of its own",
        ),
        (
            "[[channel]]\nname = 'a'\n[[channel]]\nname = '1'\n",
            "line 4: [[channel]] 2 name = '1': each must have a name of its own, not a number",
        ),
        ("[[channel]]\nname = 1\n", "name = 1: must be a text"),
        ("[[channel]]\nlevel_db = -20\n", "[[channel]] 1 name: this is missing"),
        ("", "[[channel]]: this is missing"),
        ("channel = []", "[[channel]]: must be there 1 to 64 times"),
        ("channel = 3", "[[channel]] = 3: must be a list"),
        ("channel = [3]", "[[channel]] 1 = 3: must be a table"),
        ("[[chanel]]\n", "[[chanel]] = [{}]: there is no such key"),
        ("[[channel]\n", "line 1"),
        ("name = '\x00'", "line 1"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """TOML's own errors have their line."""
    with pytest.raises(SettingsError, match=r"dishes\.toml") as raised:
        load_dishes(written(tmp_path, text))

    assert words in str(raised.value)


def test_a_source_is_said_as_the_file_has_it() -> None:
    """Without what is so by default."""
    texts = ["slot 1", "slot 2 wave 3", "slot 6 faraday at +6 dB", "slot 1 speech at -6.5 dB"]
    tables = [{"name": "a", "plays": texts}]

    (channel,) = TypeAdapter(Dishes).validate_python({"channel": tables}).channels

    assert texts == [str(one) for one in channel.plays]


def test_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    """It is not replaced by the built-in channels: those may be too loud for these dishes."""
    with pytest.raises(SettingsError, match="RR_PLAYBACK_DISHES"):
        load_dishes(tmp_path / "none.toml")
