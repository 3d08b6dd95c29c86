"""The user's task set: JSON lines in, tasks out, each with the check that its answer has to pass."""

import json
import re
from typing import Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from deploykit.base import Value
from deploykit.errors import CatalogError, Place

MOST_TASKS = 100_000


class Message(Value):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Check(Value):
    """What an answer has to be; one of the four."""

    exact: str | tuple[str, ...] | None = Field(
        None, description="The whole answer, white space around it aside; of several, any."
    )
    regex: str | None = Field(None, description="A Python regular expression that is found in the answer.")
    json_schema: dict[str, JsonValue] | bool | None = Field(
        None, description="A JSON Schema (2020-12) that the answer meets: its last fenced block, or the whole of it."
    )
    tests: str | None = Field(
        None,
        description="Python that runs after the answer's code, in one namespace; an exception or `assert` fails it.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "Check":
        if len(self.model_fields_set) != 1:
            raise ValueError("a check is one of `exact`, `regex`, `json_schema` and `tests`")
        return self

    @field_validator("regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from None
        return pattern

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, JsonValue] | bool | None) -> dict[str, JsonValue] | bool | None:  # noqa: FBT001 - a schema may be `true`
        try:
            Draft202012Validator.check_schema({} if schema is None else schema)
        except SchemaError as error:
            raise ValueError(f"it is no JSON Schema: {error.message}") from None
        return schema

    @field_validator("tests")
    @classmethod
    def _is_python(cls, code: str | None) -> str | None:
        try:
            compile(code or "", "tests", "exec")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"it is no Python: {error}") from None
        return code


class Task(Value):
    """One thing to ask, and how to tell whether the answer is right."""

    id: str = Field(min_length=1, max_length=200)
    prompt: str | None = Field(None, description="What is asked, if it is one message.")
    messages: tuple[Message, ...] = Field((), description="The conversation, if it is more.")
    check: Check
    max_tokens: int | None = Field(None, ge=1, description="Instead of --max-tokens.")

    @model_validator(mode="after")
    def _asks_something(self) -> "Task":
        if (self.prompt is None) == (not self.messages):
            raise ValueError("a task has either `prompt` or `messages`")
        return self

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages that are sent."""
        return self.messages or (Message(role="user", content=self.prompt or ""),)


def parse_tasks(text: str, file: str) -> tuple[Task, ...]:
    """Return the tasks of a JSONL file; empty lines do not count.

    Raises CatalogError with the line for one that is no task or has an id that is there already, and for none at all.
    """
    found: dict[str, Task] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = Place(file, number)
        try:
            task = Task.model_validate(json.loads(line))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            says = first["msg"].removeprefix("Value error, ")
            raise CatalogError(f"the task cannot be taken: {says}", where=Place(file, number, key or None)) from None
        except (ValueError, RecursionError) as error:
            raise CatalogError(f"the line is no JSON: {error}", where=where) from None
        if task.id in found:
            raise CatalogError(f"the id `{task.id}` is there twice", where=where, hint="each task has an id of its own")
        found[task.id] = task
    if not found:
        raise CatalogError(
            "there is no task", where=Place(file), hint='such as {"id": "1", "prompt": "2+2?", "check": {"exact": "4"}}'
        )
    if len(found) > MOST_TASKS:
        raise CatalogError(f"{len(found)} tasks are more than {MOST_TASKS}", where=Place(file))
    return tuple(found.values())
