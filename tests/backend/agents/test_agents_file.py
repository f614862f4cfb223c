"""What an artist may write into `agents.toml`, and what each mistake is told as."""

from pathlib import Path

import pytest

from backend.agents import AgentProfile, check_agents
from backend.agents.agents_file import load_profiles
from backend.agents.choices import REHEARSAL, ModelChoice
from backend.agents.registry import DEFAULT_PROFILES
from backend.config import Settings
from backend.errors import SettingsError
from tests import readme
from tests.command import run

SECRET = "sk-canary0123456789"
OLLAMA = "http://127.0.0.1:11434/v1"


def load(path: Path, text: str, encoding: str = "utf-8") -> dict[str, AgentProfile]:
    """Return the agents of a file, by id."""
    file = path / "agents.toml"
    file.write_text(text, encoding=encoding)
    return {profile.id: profile for profile in load_profiles(file)}


def problems(path: Path, text: str) -> list[str]:
    """Return the lines a file is refused with, without the path they begin with."""
    with pytest.raises(SettingsError) as caught:
        load(path, text)
    lines = str(caught.value).splitlines()
    assert all("agents.toml" in line for line in lines)
    return [line.partition("agents.toml")[2].lstrip(",: ") for line in lines]


def test_without_a_file_the_six_are_there() -> None:
    """The built-in agents need no file, and each has the rehearsal behind it."""
    assert DEFAULT_PROFILES == load_profiles(None)
    assert {(REHEARSAL,)} == {profile.fallback for profile in DEFAULT_PROFILES}


def test_the_example_in_the_readme_is_valid(tmp_path: Path) -> None:
    """What is copied from the README works as it stands."""
    section = readme.section("backend/agents/README.md", "agents.toml")
    example = section.split("```toml\n")[1].split("```")[0]

    found = load(tmp_path, example)

    assert "gpt-5.1" not in found
    chain = [choice.model for choice in found["heron"].chain]
    expected = ["openai-chat:qwen/qwen3-32b", "anthropic:claude-sonnet-4-5", "openai-chat:llama3.2"]
    assert expected == chain


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """A file without an agent leaves the built-in ones."""
    assert list(DEFAULT_PROFILES) == list(load(tmp_path, "").values())


def test_a_built_in_agent_keeps_what_is_not_said(tmp_path: Path) -> None:
    """A table changes the fields it names; the order of the agents stays."""
    built_in = {profile.id: profile for profile in DEFAULT_PROFILES}

    found = load(tmp_path, '[[agents]]\nid = "gpt-4o"\nname = "Puddle"\ntemperature = 0.5\n')

    assert list(built_in) == list(found)
    assert ("Puddle", 0.5) == (found["gpt-4o"].name, found["gpt-4o"].temperature)
    assert built_in["gpt-4o"].persona == found["gpt-4o"].persona
    assert built_in["gpt-4o"].model == found["gpt-4o"].model


def test_every_field_reaches_the_agent(tmp_path: Path) -> None:
    """A new agent is what its table says, fallbacks in their order."""
    text = f"""
[[agents]]
id = "heron"
name = "Heron"
description = "Stands."
color = "#123456"
persona = "You stand in the shallows."
temperament = "deep"
model = "openai-chat:llama3.2"
base_url = "{OLLAMA}/"
key = "LOCAL_KEY"
output = "prompted"
temperature = 1.2
max_tokens = 300
fallback = [
    "openai-chat:qwen3",
    "openai:gpt-5.1",
    {{ model = "openai-chat:x", base_url = "https://openrouter.ai/api/v1", key = "A_KEY" }},
    "rehearsal",
]
"""

    heron = load(tmp_path, text)["heron"]

    assert heron == AgentProfile(
        id="heron",
        name="Heron",
        description="Stands.",
        color="#123456",
        persona="You stand in the shallows.",
        temperament="deep",
        model="openai-chat:llama3.2",
        base_url=f"{OLLAMA}/",
        key="LOCAL_KEY",
        output="prompted",
        temperature=1.2,
        max_tokens=300,
        fallback=(
            ModelChoice("openai-chat:qwen3", f"{OLLAMA}/", "LOCAL_KEY", "prompted"),
            ModelChoice("openai:gpt-5.1"),
            ModelChoice("openai-chat:x", "https://openrouter.ai/api/v1", "A_KEY"),
            REHEARSAL,
        ),
    )
    assert OLLAMA == heron.first_choice.address
    assert (heron.first_choice, *heron.fallback) == heron.chain


def test_an_agent_can_be_left_out(tmp_path: Path) -> None:
    """`enabled = false` takes a built-in agent away."""
    assert "gpt-4o" not in load(tmp_path, '[[agents]]\nid = "gpt-4o"\nenabled = false\n')


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    """A byte order mark and Windows line ends are no mistake."""
    text = '[[agents]]\r\nid = "gpt-4o"\r\nname = "Pfütze"\r\n'

    assert "Pfütze" == load(tmp_path, text, "utf-8-sig")["gpt-4o"].name


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("temperature = 3", "temperature='3': must be a number, at least 0 and at most 2, "),
        ("temperature = 'hot'", "temperature='hot': must be a number, "),
        ("max_tokens = 1", "max_tokens='1': must be a whole number, at least 16 and "),
        ("output = 'xml'", "output='xml': must be one of tool, native, prompted"),
        ("temprature = 1", "temprature: there is no such field; there are id, enabled, name"),
        ("color = 'teal'", "agent gpt-4o: color 'teal' must look like"),
        ("model = 'gpt-4o'", "model 'gpt-4o' must be 'rehearsal' or one of openai:..."),
        ("model = 'opnai:x'", "model 'opnai:x' must be"),
        ("model = 'openai:'", "model 'openai:' must be"),
        ("model = 'openai-chat:x'", "model 'openai-chat:x' needs a base_url such as"),
        ("base_url = 'localhost:11434'", "base_url 'localhost:11434' must look like"),
        ("base_url = 'http://x:port/v1'", "base_url 'http://x:port/v1' must look like"),
        (f"base_url = 'http://x/?key={SECRET}'", "base_url '********' must look like"),
        (f"base_url = 'http://me:{SECRET}@x/'", "base_url '********' must look like"),
        (f"key = '{SECRET}'", "key must be the name of a variable such as OPENROUTER_API_KEY"),
        (f"model = '{SECRET}'", "model '********' must be"),
        (f"api_key = '{SECRET}'", "api_key: there is no such field"),
        ("fallback = 'rehearsal'", "fallback: Input should be a valid list"),
        ("fallback = [5]", "fallback: must be 'provider:model' or a table with a model"),
        ("fallback = ['openai-chat:x']", "model 'openai-chat:x' needs a base_url"),
        ("fallback = [{ model = 'rehearsal', x = 1 }]", "fallback: x: there is no such field"),
        (
            "fallback = [{ base_url = 'http://x' }]",
            "fallback: model: is missing; it must be a text",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_agent_and_field(
    fields: str, expected: str, tmp_path: Path
) -> None:
    """A wrong entry is told once, with its value unless that could be a key."""
    (line,) = problems(tmp_path, f'[[agents]]\nid = "gpt-4o"\n{fields}\n')

    number = 1 if expected.startswith("agent") or "openai-chat:x'] " in f"{fields} " else 3
    assert line.startswith(f"line {number}: agent 'gpt-4o': {expected}")
    assert SECRET not in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[agents]\n", "is not TOML: Expected"),
        ("[agents.gpt-4o]\nname = 'x'\n", "write [[agents]] in double brackets"),
        ("[[agent]]\nid = 'x'\n", "line 1: 'agent' is not known; every agent is one [[agents]]"),
        ("[[agents]]\nname = 'x'\n", "line 1: agent 1: id: is missing; it must be a text"),
        ("[[agents]]\nid = 'new'\n", "line 1: agent 'new': a new agent needs a model"),
        (
            "[[agents]]\nid = 'a b'\nmodel = 'openai:x'\n",
            "line 1: agent 'a b': agent id 'a b' is not safe",
        ),
    ],
)
def test_a_file_that_is_no_list_of_agents_is_told(text: str, expected: str, tmp_path: Path) -> None:
    """What is wrong with the file as a whole is one line too."""
    (line,) = problems(tmp_path, text)

    assert line.startswith(expected)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Two agents with three mistakes are three lines; a twin is told as one."""
    lines = problems(
        tmp_path,
        '[[agents]]\nid = "gpt-4o"\ntemperature = 3\nmax_tokens = 1\n'
        '[[agents]]\nid = "gemini-3"\ncolor = "blue"\n'
        '[[agents]]\nid = "GPT-5.1"\nmodel = "openai:x"\n'
        '[[agents]]\nid = "gpt-5.1"\n',
    )

    expected = (
        "line 3: agent 'gpt-4o': temperature=",
        "line 4: agent 'gpt-4o': max_tokens=",
        "line 5: agent 'gemini-3': agent gemini-3: color",
        "line 11: agent 'gpt-5.1': is listed twice",
    )
    assert len(expected) == len(lines)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_no_agent_at_all_is_refused(tmp_path: Path) -> None:
    """An installation in which every agent is switched off is a mistake."""
    text = "".join(f'[[agents]]\nid = "{p.id}"\nenabled = false\n' for p in DEFAULT_PROFILES)

    assert ["no agent is enabled; leave at least one"] == problems(tmp_path, text)


@pytest.mark.e2e
@pytest.mark.parametrize("command", ["serve", "rehearse", "config", "doctor"])
def test_mistakes_end_every_command_before_it_begins(command: str, tmp_path: Path) -> None:
    """Each wrong entry is one line on stderr, and the exit code is that of wrong settings."""
    (tmp_path / "agents.toml").write_text(
        '[[agents]]\nid = "gpt-4o"\ntemperature = 3\nmax_tokens = 1\n'
        '[[agents]]\nid = "gpt-5.1"\nmodel = "[[agents]]"\n',
        encoding="utf-8",
    )
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "reply.txt").write_text("Reply.", encoding="utf-8")
    env = {"RR_AGENTS_FILE": "agents.toml", "RR_PROMPTS_DIR": "prompts"}

    done = run(command, cwd=tmp_path, env=env)

    assert (2, "") == (done.returncode, done.stdout)
    lines = [line for line in done.stderr.splitlines() if line.startswith("wrong setting: ")]
    expected = (
        "temperature='3'",
        "max_tokens='1'",
        "model '[[agents]]' must be",
        "{comments} is missing",
    )
    assert len(expected) == len(lines)
    assert all(words in line for words, line in zip(expected, lines, strict=True))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The variable and the path are named."""
    with pytest.raises(
        SettingsError,
        match=r"RR_AGENTS_FILE=.*nowhere.toml: cannot be read \(No",
    ):
        load_profiles(tmp_path / "nowhere.toml")


def test_the_agent_that_sums_up_must_be_there() -> None:
    """An unknown id is told at start, with the known ones."""
    check_agents(Settings(summary_agent="gpt-4o"))

    with pytest.raises(SettingsError, match="RR_SUMMARY_AGENT=heron: no such agent"):
        check_agents(Settings(summary_agent="heron"))
