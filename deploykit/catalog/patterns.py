"""What texts in files must look like: a pattern for programs and schemas, and the same in words for people."""

DIGEST = r"^sha256:[0-9a-f]{64}$"
SHA256 = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}$"
REPOSITORY = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"
REQUIREMENT = r"^[a-z0-9-]+==[0-9.]+$"
ROUTE = r"^(/[a-z0-9_-]+)+$"
NAME = r"^[a-z0-9][a-z0-9.-]*$"

HOST_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
CALLER_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
HEADER = r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"
INTERFACE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$"
HOST_PORT = r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"

URL = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"
"""An address without a login, which would be kept and shown with it, and without a query."""

DOMAIN = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$"
"""A public name that a certificate can be had for."""

IMAGE = (
    r"^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
    r"(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$"
)
"""An image with its registry, so that every host asks the same one, and either a digest or a tag."""

WORD = r"^[^\s-]\S*$"
"""One word that no program takes for an option."""

ADDRESS = r"^([^\s:/@-][^\s:/@]*|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$"
"""A name or an IPv4 address, which have no colon, or an IPv6 address, which has two."""

FILE = r'^[^\r\n"]+$'
"""A path on one line; spaces are no harm, a quote is one in the options of ssh."""

RANGE = r"^-?[0-9.]+(\.\.-?[0-9.]+){0,2}$"
"""A number, or two or three in order."""

_LOWER = "lower-case letters, digits, `.` and `-`, and begin with a letter or digit"

WORDS = {
    DIGEST: "must be a digest: `sha256:` and 64 digits and letters a to f",
    SHA256: "must be a SHA-256: 64 digits and letters a to f",
    COMMIT: "must be a commit hash: 40 digits and letters a to f",
    REPOSITORY: "must be a repository, `OWNER/NAME`",
    REQUIREMENT: "must be one pinned package, such as `vllm==0.32.0`",
    ROUTE: "must be a path of lower-case words, such as `/v1/models`",
    NAME: f"must be {_LOWER}, such as `chat-eu`",
    HOST_NAME: "must be letters, digits, `.`, `_` and `-`, such as `gpu1`",
    CALLER_NAME: "must be up to 63 lower-case letters, digits, `.`, `_` and `-`, such as `team-a`",
    VARIABLE: "must be the name of an environment variable, such as `TEAM_A_KEYS`, and never the key itself",
    HEADER: "must be the name of a header, such as `X-Session-Id`",
    INTERFACE: "must be the name of a network interface, such as `eth0`",
    HOST_PORT: "must be `HOST:PORT`, such as `alerts.example.com:9093`",
    URL: "must be an address such as `https://grafana.example.com`, without a login and without a query",
    DOMAIN: "must be a public name such as `llm.example.com`, without `https://` and without a port",
    IMAGE: "must be an image with its registry and a digest or tag, in lower case, such as "
    "`docker.io/vllm/vllm-openai:v0.32.0` or `docker.io/vllm/vllm-openai@sha256:...`",
    WORD: "must be one word that does not begin with `-`, such as `ubuntu`",
    ADDRESS: "must be a host name or an IP address, such as `192.0.2.10`, without a login and without a port",
    FILE: "must be a path on one line, without quotes",
    RANGE: "must be a number or `low..high`, such as `14..18`",
}
"""What is wanted, with an example where one helps, after the name of the key."""
