"""The base of what routes take and answer."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backend.plugins import State


class CamelCase(BaseModel):
    """A model whose fields have names in camelCase over HTTP."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PartHealth(BaseModel):
    """The state of hearing, or of a plugin."""

    state: State
    reason: str
