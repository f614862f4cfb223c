"""Which sessions go, and why: what holds for every store, and the rules by example."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.retention.policy import MB, Limits, Policy, Stored, Why, choose, plan, policy_of
from plugins.retention.settings import RetentionSettings

NOW_S = 1_000_000.0
OLD, NEW = "a", "z"

stores = st.lists(
    st.builds(
        Stored,
        session_id=st.sampled_from([f"session-{n}" for n in range(12)]),
        size=st.integers(0, 50),
        written_at_s=st.integers(0, 30).map(lambda age: NOW_S - age + 3),  # clocks are set back
    ),
    max_size=12,
    unique_by=lambda item: item.session_id,
)
limits = st.builds(
    Limits,
    ttl_s=st.sampled_from([0.0, 0.5, 5.0, 20.0]),
    max_bytes=st.sampled_from([0, 1, 40, 100, 10_000]),
    keep_last=st.sampled_from([0, 1, 3, 20]),
)
holders = st.frozensets(st.sampled_from([f"session-{n}" for n in range(12)]))


def newest_first(stored: Sequence[Stored]) -> list[str]:
    ordered = sorted(stored, key=lambda item: (item.written_at_s, item.session_id), reverse=True)
    return [item.session_id for item in ordered]


@given(stored=stores, limits=limits, held=holders, shuffle=st.randoms())
def test_what_holds_for_every_store(
    stored: list[Stored], limits: Limits, held: frozenset[str], shuffle: object
) -> None:
    """Nothing held goes, each reason is true, no limit is exceeded but by what is held, and the
    size costs no session more than it must.
    """
    going = choose(stored, limits, held, NOW_S)

    by_id = {item.session_id: item for item in stored}
    order = newest_first(stored)
    staying = [name for name in order if name not in going]
    free = [name for name in staying if name not in held]
    total = sum(by_id[name].size for name in staying)
    assert going.keys() <= by_id.keys()
    assert not going.keys() & held
    for name, why in going.items():
        age_s = NOW_S - by_id[name].written_at_s
        if why == "age":
            assert limits.ttl_s
            assert age_s > limits.ttl_s
        elif why == "number":
            assert limits.keep_last
            assert order.index(name) >= limits.keep_last
        else:
            assert why == "size"
            assert limits.max_bytes
            younger = [other for other in free if order.index(other) > order.index(name)]
            assert [] == younger, "an older session stays"
    if limits.ttl_s:
        assert all(NOW_S - by_id[name].written_at_s <= limits.ttl_s for name in free)
    if limits.keep_last:
        assert all(order.index(name) < limits.keep_last for name in free)
    if limits.max_bytes:
        assert total <= limits.max_bytes or not free
        last = [name for name in order if going.get(name) == "size"]
        if last:
            assert total + by_id[last[0]].size > limits.max_bytes, "the last one went for nothing"
    again = list(stored)
    shuffle.shuffle(again)  # type: ignore[attr-defined]  # a random.Random
    assert going == choose(again, limits, held, NOW_S)
    assert {} == choose([by_id[name] for name in staying], limits, held, NOW_S)


@given(speech=stores, waves=stores, tts=limits, of_waves=limits, held=holders)
def test_what_holds_for_every_plan(
    speech: list[Stored], waves: list[Stored], tts: Limits, of_waves: Limits, held: frozenset[str]
) -> None:
    """Speech goes wherever its waves do, before them; else each tree has the limits of its own."""
    going = plan(speech, waves, Policy(tts, of_waves), held, NOW_S)

    of = {tree: [r for r in going if r.tree == tree] for tree in ("tts", "waves")}
    waves_going = {removal.session_id for removal in of["waves"]}
    speech_ids = {item.session_id for item in speech}
    assert waves_going == choose(waves, of_waves, held, NOW_S).keys()
    with_waves = {removal.session_id for removal in of["tts"] if removal.why == "waves"}
    assert with_waves == waves_going & speech_ids
    rest = [item for item in speech if item.session_id not in waves_going]
    alone = {r.session_id: r.why for r in of["tts"] if r.why != "waves"}
    assert choose(rest, tts, held, NOW_S) == alone
    names = [(removal.session_id, removal.tree) for removal in going]
    assert len(names) == len(set(names))
    for session_id in with_waves:
        place = names.index((session_id, "tts"))
        assert (session_id, "waves") == names[place + 1]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), {}),
        (Policy(waves=Limits(keep_last=1)), {"heard-old": "speech"}),
        (Policy(tts=Limits(ttl_s=50)), {"heard-old": "speech", "alone-old": "age"}),
        (Policy(tts=Limits(keep_last=1)), {"heard-old": "speech", "alone-old": "number"}),
    ],
)
def test_a_recording_goes_with_the_speech_of_its_session(
    policy: Policy, expected: dict[str, Why]
) -> None:
    """A recording without speech has the limits of the speech, as if it were one."""
    speech = [
        Stored("old", 10, NOW_S - 90, "heard-old"),
        Stored("typed", 10, NOW_S - 40),
        Stored("new", 10, NOW_S, "heard-new"),
    ]
    heard = [
        Stored(f"{kind}-{name}", 10, NOW_S - age_s)
        for kind in ("heard", "alone")
        for name, age_s in (("old", 99), ("new", 9))
    ]

    going = plan(speech, [Stored("old", 1, 0), Stored("new", 1, 1)], policy, (), NOW_S, heard)

    assert expected == {r.session_id: r.why for r in going if r.tree == "stt"}


def test_a_recording_of_two_sessions_stays_for_the_one_that_stays() -> None:
    """A client may send a transcript again."""
    speech = [Stored("a", 1, NOW_S - 9, "heard"), Stored("b", 1, NOW_S, "heard")]

    going = plan(
        speech, [], Policy(tts=Limits(keep_last=1)), (), NOW_S, [Stored("heard", 1, NOW_S - 9)]
    )

    assert [("a", "tts")] == [(removal.session_id, removal.tree) for removal in going]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), {}),
        (Limits(ttl_s=20), {"a": "age", "b": "age"}),
        (Limits(keep_last=3), {"a": "number"}),
        (Limits(max_bytes=250), {"a": "size", "b": "size"}),
        (Limits(max_bytes=300), {"a": "size"}),
        (Limits(ttl_s=30, max_bytes=200, keep_last=3), {"a": "age", "b": "size"}),
        (Limits(max_bytes=1), {"a": "size", "b": "size", "c": "size", "d": "size"}),
    ],
)
def test_the_limits(limits: Limits, expected: dict[str, Why]) -> None:
    """Of four sessions of 100 bytes, 40, 30, 20 and 10 s old, those over a limit go."""
    stored = [
        Stored(name, 100, NOW_S - age) for name, age in zip("abcd", (40, 30, 20, 10), strict=True)
    ]

    assert expected == choose(stored, limits, (), NOW_S)


def test_what_is_held_counts_but_stays() -> None:
    """A session in use takes the place and the room that it takes; others go for it."""
    stored = [Stored(OLD, 100, NOW_S - 9), Stored("m", 100, NOW_S - 5), Stored(NEW, 100, NOW_S)]

    assert {"m": "size"} == choose(stored, Limits(max_bytes=200), {OLD, NEW}, NOW_S)
    assert {"m": "number"} == choose(stored, Limits(keep_last=1), {OLD, NEW}, NOW_S)


def test_a_clock_that_was_set_back_removes_nothing_by_age() -> None:
    """A session from the future is young."""
    assert {} == choose([Stored("a", 1, NOW_S + 1e6)], Limits(ttl_s=1), (), NOW_S)


def test_settings_are_limits() -> None:
    """Minutes, hours and megabytes become seconds and bytes; without a setting there is none."""
    assert Policy() == policy_of(RetentionSettings())
    settings = RetentionSettings(
        tts_ttl_min=5,
        tts_max_mb=1.5,
        tts_keep_last=3,
        waves_ttl_h=2,
        waves_max_mb=4,
        waves_keep_last=6,
    )

    expected = Policy(Limits(300, 3 * MB // 2, 3), Limits(7200, 4 * MB, 6))
    assert expected == policy_of(settings)
