import dataclasses
from typing import get_args

import pytest

from backend.agents import AgentProfile, Registry
from backend.agents.registry import DEFAULT_PROFILES, Temperament
from backend.errors import AgentError, SettingsError


def profile(**changes: str) -> AgentProfile:
    """Return a good profile with some fields changed."""
    return dataclasses.replace(DEFAULT_PROFILES[0], **changes)  # type: ignore[arg-type]  # all are str


def test_has_the_six_default_agents_in_order() -> None:
    """The web client relies on the six default ids."""
    assert Registry().ids == (
        "claude-sonnet-4-5",
        "claude-opus-4-5",
        "gpt-5.2",
        "gpt-5.1",
        "gpt-4o",
        "gemini-3",
    )


def test_default_agents_differ_in_everything_a_visitor_notices() -> None:
    """No two default agents share a color, a description, a persona or a temperament."""
    for field in ("color", "description", "persona", "name", "model"):
        assert len({getattr(agent, field) for agent in Registry()}) == len(DEFAULT_PROFILES)
    assert {agent.temperament for agent in Registry()} == set(get_args(Temperament))


def test_model_names_begin_with_their_provider() -> None:
    """A default model name is `provider:model`."""
    assert all(agent.model.split(":")[0] == agent.provider for agent in Registry())


def test_unknown_id_names_the_known_ones() -> None:
    """An unknown id is an AgentError that lists what could have been meant."""
    with pytest.raises(AgentError, match=r"'hal'.*gpt-4o, gemini-3") as caught:
        Registry().get("hal")

    assert caught.value.type == "unknown"
    assert "hal" not in Registry()


@pytest.mark.parametrize(
    "agent_id", ["", "../up", "a/b", "a\\b", "a b", "a:b", ".hidden", "a.", "é", "a_b", "x" * 49]
)
def test_id_must_be_safe_in_a_file_name(agent_id: str) -> None:
    """An id that could leave its folder or break on one system is refused, with the id."""
    with pytest.raises(SettingsError, match="not safe in a file name"):
        profile(id=agent_id)


def test_color_must_be_a_hex_color() -> None:
    """A color that the web client could not show is refused."""
    with pytest.raises(SettingsError, match="'teal'"):
        profile(color="teal")


def test_ids_are_unique_whatever_their_case() -> None:
    """Two ids that a case-ignoring file system would mix up are refused."""
    with pytest.raises(SettingsError, match="listed twice"):
        Registry([profile(id="hal"), profile(id="HAL")])


def test_an_empty_registry_is_refused() -> None:
    """An installation without an agent cannot answer."""
    with pytest.raises(SettingsError, match="at least one"):
        Registry([])
