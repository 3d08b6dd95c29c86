"""An answer and a check in, whether it is right and why not out. Code is run elsewhere: here it is only found."""

import json
import re

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import JsonValue
from referencing import Registry
from referencing.exceptions import Unresolvable

from deploykit.base import Value
from deploykit.quality.tasks import Check

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_LONGEST = 300


class Judgement(Value):
    """Whether an answer is right."""

    passed: bool
    why: str = ""
    """Why it is not, without a word of the answer."""


def judge(check: Check, answer: str) -> Judgement:
    """Judge an answer by `exact`, `regex` or `json_schema`; `tests` are for the sandbox, and here an error of the caller."""
    if check.exact is not None:
        wanted = (check.exact,) if isinstance(check.exact, str) else check.exact
        right = answer.strip() in {text.strip() for text in wanted}
        return Judgement(passed=right, why="" if right else "the answer is another text")
    if check.regex is not None:
        right = re.search(check.regex, answer) is not None
        return Judgement(passed=right, why="" if right else "the pattern is not found")
    if check.json_schema is not None:
        return _by_schema(check.json_schema, answer)
    raise ValueError("tests are run, not judged")


def code_of(answer: str) -> str:
    """Return the code in an answer: its last fenced block that says Python or nothing, else the whole answer."""
    blocks = [text for language, text in _FENCE.findall(answer) if language.lower() in {"", "python", "py", "python3"}]
    return blocks[-1] if blocks else answer


def _by_schema(schema: dict[str, JsonValue] | bool, answer: str) -> Judgement:  # noqa: FBT001 - a schema may be `true`
    blocks = _FENCE.findall(answer)
    try:
        value = json.loads(blocks[-1][1] if blocks else answer)
    except (ValueError, RecursionError):
        return Judgement(passed=False, why="the answer is no JSON")
    try:
        # An empty registry: what a schema refers to elsewhere is not fetched.
        Draft202012Validator(schema, registry=Registry()).validate(value)
    except ValidationError as error:
        at = "/".join(str(part) for part in error.absolute_path)
        return Judgement(passed=False, why=f"`{error.validator}` of the schema is not met at /{at}"[:_LONGEST])
    except Unresolvable as error:
        return Judgement(passed=False, why=f"the schema refers to what is not in it: {error}"[:_LONGEST])
    return Judgement(passed=True)
