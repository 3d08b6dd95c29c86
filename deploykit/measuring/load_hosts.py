"""Machines that make the load instead of this one, and what they and this one say to each other over SSH."""

from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog import patterns
from deploykit.errors import UsageError


class LoadHost(Value):
    """A machine that makes load, and how SSH gets there; what is not given is for the operator's SSH configuration."""

    name: str = Field(pattern=patterns.ADDRESS)
    address: str = Field(pattern=patterns.ADDRESS)
    user: str | None = Field(None, pattern=patterns.WORD)
    port: int | None = Field(None, gt=0, lt=65536)
    key_file: str | None = None
    options: tuple[str, ...] = Field((), description="More of ssh's own options, such as those of a jump host.")
    command: str = Field("deploykit", min_length=1, description="The program deploykit on that machine.")


class AgentGreeting(Value):
    """What an agent says of its machine before anything is sent to it."""

    deploykit: str
    locust: str
    python: str
    port: int = Field(description="A port that is free there, for locust's messages.")


class AgentOrder(Value):
    """The first line an agent reads. The keys and files of a load test are in it: none is on a command line."""

    format: Literal["deploykit/load-agent/1"] = "deploykit/load-agent/1"
    spec: str = Field(description="`loadtest.json`; its prompts are the file of that name in `files`, if it is there.")
    files: dict[str, str] = Field(description="By name, what is replayed.")
    processes: int = Field(ge=1, description="How many make load here; the spec counts those of all hosts.")
    first: int = Field(0, ge=0, description="Number of the first of them among all.")
    port: int = Field(description="Of this machine, forwarded to locust's master.")
    api_key: str | None = None
    authority: str | None = Field(None, description="The root that is trusted instead of the system's, as PEM.")


class AgentNews(Value):
    """A line an agent writes: text for one of the load test's files."""

    file: str = Field(
        pattern=r"^((samples|generator|progress)-[0-9]{1,4}\.jsonl?|failure\.json|locust-[0-9]{1,4}\.log)$"
    )
    text: str
    append: bool = False


def parse_host(text: str, *, command: str) -> LoadHost:
    """Return a host written as `[USER@]HOST[:PORT]`; UsageError if it is none."""
    user, at, rest = text.strip().rpartition("@")
    address, colon, port = rest.rpartition(":") if rest.count(":") == 1 else (rest, "", "")
    try:
        return LoadHost(
            name=address,
            address=address,
            user=user if at else None,
            port=int(port) if colon else None,
            command=command,
        )
    except ValueError:
        raise UsageError(f"`{text[:60]}` is not a host", hint="such as load1, ops@load1 or ops@10.0.0.5:2222") from None
