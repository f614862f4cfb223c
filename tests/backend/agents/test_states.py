from backend.agents.states import AgentState, States


def test_an_agent_is_ready_at_first() -> None:
    """Nothing is known of an agent before it was asked; one without a key is known at once."""
    states = States(["mute"])

    assert AgentState("ready") == states.of("new")
    assert AgentState("no key") == states.of("mute")


def test_failing_keeps_its_first_time_and_its_last_reason() -> None:
    """`since` is when it began; the reason is the latest."""
    states = States()

    states.failed("a", "timeout")
    first = states.of("a")
    states.failed("a", "network")

    assert ("failing", first.since, "network") == (
        states.of("a").state,
        states.of("a").since,
        states.of("a").reason,
    )
    assert first.since is not None


def test_a_fallback_that_answers_does_not_make_it_ready() -> None:
    """The state is that of the first choice; who answered is noted beside it."""
    states = States(["mute"])
    states.failed("a", "timeout")

    states.answered("a", "rehearsal", is_first_choice=False)
    states.answered("mute", "rehearsal", is_first_choice=False)

    assert ("failing", "rehearsal") == (states.of("a").state, states.of("a").answered_by)
    assert AgentState("no key", answered_by="rehearsal") == states.of("mute")


def test_an_answer_of_its_own_makes_it_ready() -> None:
    """Recovery forgets the failure."""
    states = States()
    states.failed("a", "timeout")

    states.answered("a", "openai:m", is_first_choice=True)

    assert AgentState("ready", answered_by="openai:m") == states.of("a")
