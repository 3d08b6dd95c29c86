"""What the operator wants: the contents of `deploykit.yaml`, and of the environment and command line that override it."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from deploykit.base import Value, Withheld
from deploykit.catalog import patterns
from deploykit.catalog.margins import Margins
from deploykit.cost_intent import CostIntent
from deploykit.setting_value import SettingValue

_Url = Annotated[str, Withheld(), Field(pattern=patterns.URL)]
_File = Annotated[str, Withheld(), Field(pattern=patterns.FILE)]

MAX_NODES = 64
"""Machines of one deployment: what a plan is tried for, far beyond what one engine or one gateway serves well."""


FIRST_PORT = 1024
"""What lies below is root's alone on the hosts."""


class HostIntent(Value):
    """A machine to deploy to, over SSH."""

    name: str = Field(pattern=patterns.HOST_NAME, description="Short name, used in progress and reports.")
    address: str = Field(
        pattern=patterns.ADDRESS, description="Host name or IP address that SSH connects to; its port is `port`."
    )
    user: str | None = Field(
        None, pattern=patterns.WORD, description="Login user; your SSH configuration decides if it is not given."
    )
    port: int = Field(22, gt=0, lt=65536)
    key_file: _File | None = Field(
        None,
        description="Private key, relative to this file; your SSH agent or configuration decides if it is not given.",
    )


class ContainerIntent(Value):
    """What `runtime: container` runs; podman runs it, under systemd."""

    image: str | None = Field(
        None,
        pattern=patterns.IMAGE,
        description="Image instead of the engine release's own: `REGISTRY/NAME@sha256:...`, or by tag, which can be moved.",
    )


class SloIntent(Value):
    """Changes to the workload's service level objective; what is not given stays as the workload has it."""

    ttft_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds from the intended send to the first token."
    )
    tpot_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Mean seconds per output token after the first."
    )
    e2e_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds from the intended send to the last token."
    )
    share: float | None = Field(None, gt=0, le=1, description="Share of requests that must meet all limits.")


class CallerIntent(Value):
    """One caller of the gateway: where its keys are, never the keys themselves, and how much it may ask."""

    name: str = Field(
        pattern=patterns.CALLER_NAME,
        description="What logs and limits know the caller by; `default` is the one of DEPLOYKIT_API_KEY.",
    )
    env: str | None = Field(
        None, pattern=patterns.VARIABLE, description="Environment variable with its keys, one a line."
    )
    file: _File | None = Field(None, description="File with its keys, one a line: several are good at once.")
    command: str | None = Field(
        None, min_length=1, description="Command that prints its keys, one a line; it is run without a shell."
    )
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000, description="Null is no limit.")
    concurrent: int | None = Field(None, ge=1, le=100_000, description="Requests at a time; null is no limit.")

    @model_validator(mode="after")
    def _one_source(self) -> "CallerIntent":
        sources = [f"`{name}`" for name in ("env", "file", "command") if getattr(self, name) is not None]
        if self.name == "default" and sources:
            raise ValueError(f"the key of `default` comes from DEPLOYKIT_API_KEY: leave {' and '.join(sources)} away")
        if self.name != "default" and len(sources) > 1:
            raise ValueError(f"a caller's keys have one source, not {' and '.join(sources)}: leave one of them")
        if self.name != "default" and not sources:
            raise ValueError("a caller needs one of `env`, `file` and `command`: where its keys are")
        return self


class CertificateIntent(Value):
    """Your own certificate, in files on the machine where deploykit runs."""

    certificate_file: _File = Field(description="Certificate and chain, PEM.")
    key_file: _File = Field(description="Private key, PEM, without a password.")


def _tls_kind(value: object) -> str | None:
    if isinstance(value, dict | CertificateIntent):
        return "files"
    return "word" if value in ("off", "internal") else None


class GatewayIntent(Value):
    """The reverse proxy in front of the engines (real nodes only; a rehearsal has none)."""

    enabled: bool = True
    public: bool = Field(
        False, description="Serve callers without a key. Without this, `up` wants DEPLOYKIT_API_KEY on real nodes."
    )
    port: int = Field(8000, gt=0, lt=65536)
    domain: str | None = Field(
        None, pattern=patterns.DOMAIN, description="Public name, as the certificate has it; null is the node's address."
    )
    tls: Annotated[
        Annotated[Literal["off", "internal"], Tag("word")] | Annotated[CertificateIntent, Tag("files")],
        Withheld(),
        Discriminator(
            _tls_kind,
            custom_error_type="wanted",
            custom_error_message="must be `off`, `internal`, or the files of your own certificate: "
            "`{certificate_file: fullchain.pem, key_file: privkey.pem}`",
        ),
    ] = Field(
        "off",
        description="`off` is plain HTTP; `internal` is a certificate of the deployment's own authority, whose root "
        "`up` hands to you; or the files of your own certificate.",
    )
    keys: Annotated[tuple[CallerIntent, ...], Withheld()] = Field(
        (), description="Callers beside that of DEPLOYKIT_API_KEY, and limits."
    )
    routing: Literal["least-connections", "session", "vllm-router"] | None = Field(
        None,
        description="Which replica gets a request: the one with the fewest; the one of its session (`session_header`); "
        "or the one that holds its prefix, known to the vLLM project's router, a process of its own. Null is `session` "
        "with a `session_header`, else `least-connections`.",
    )
    session_header: str | None = Field(
        None,
        pattern=patterns.HEADER,
        description="Requests that agree in this header go to the same replica, where their prefix is cached; null is "
        "the replica with the fewest requests.",
    )

    @model_validator(mode="after")
    def _names_and_certificate(self) -> "GatewayIntent":
        names = [caller.name for caller in self.keys]
        if len(set(names)) != len(names):
            raise ValueError("`keys` names a caller twice: put its keys into one file, one a line")
        if (self.routing == "session") != (self.session_header is not None) and self.routing is not None:
            raise ValueError("`session_header` and `routing: session` go together: say both, or leave both away")
        if self.domain is not None and self.tls == "off":
            raise ValueError("a `domain` needs a certificate: `tls: internal`, or `tls` with the files of your own")
        asked = [f"`{name}`" for name, given in (("keys", self.keys), ("tls", self.tls != "off")) if given]
        if asked and not self.enabled:
            raise ValueError(
                f"{' and '.join(asked)} would do nothing with `enabled: false`: only the gateway knows callers and has a "
                "certificate. Leave `enabled` away, or serve with DEPLOYKIT_API_KEY alone"
            )
        return self


class MonitoringIntent(Value):
    """Prometheus and its exporters on the nodes (real nodes only; a rehearsal has none), and where its news go."""

    enabled: bool = True
    usd_per_m_target: Decimal | None = Field(
        None,
        gt=0,
        description="Warn when a day's tokens cost more than so many dollars per million; null warns of no cost.",
    )
    alertmanagers: tuple[Annotated[str, Withheld(), Field(pattern=patterns.HOST_PORT)], ...] = Field(
        (), description="`host:port` of your Alertmanagers; without one, alerts are on Prometheus' own page."
    )
    exporter: Annotated[str, Withheld(), Field(pattern=patterns.HOST_PORT)] | None = Field(
        None,
        description="`host:port` of `deploykit exporter` as the first node reaches it, such as 127.0.0.1:9109; null reads no meter.",
    )
    grafana_url: _Url | None = Field(
        None,
        description="Your Grafana; `up` puts the dashboard there, with the token in DEPLOYKIT_GRAFANA_TOKEN.",
    )
    prometheus_url: _Url | None = Field(
        None,
        description="The first node's Prometheus as that Grafana reaches it; with it, `up` makes the data source too.",
    )

    @model_validator(mode="after")
    def _source_has_its_grafana(self) -> "MonitoringIntent":
        if self.prometheus_url is not None and self.grafana_url is None:
            raise ValueError("`prometheus_url` is the data source of `grafana_url`: say both, or leave it away")
        return self


class PatienceIntent(Value):
    """When a start is given up, and the release before comes back. No part of a release."""

    no_progress_s: float = Field(
        900, gt=0, description="Seconds without a line of log, a byte read or written, or a process that comes or goes."
    )
    completion_s: float = Field(300, gt=0, description="Seconds the first completion may take; it may compile.")
    drain_s: int = Field(3600, gt=0, description="Seconds that open requests are waited for before an engine ends.")


class Intent(Value):
    """One deployment, wanted. Every key is optional in the file: what is not given comes from the next layer."""

    name: str | None = Field(
        None,
        pattern=patterns.NAME,
        description="Name of the deployment; the model's name if it is not given.",
    )
    model: str = Field(description="A model of `deploykit models`.")
    node: str = Field(description="A machine of `deploykit nodes`; `local` is a rehearsal on this machine.")
    hosts: tuple[HostIntent, ...] = Field(
        (),
        max_length=MAX_NODES,
        description=f"The machines, all of the kind `node`, up to {MAX_NODES}. Empty for a rehearsal or a dry run.",
    )
    nodes: int | None = Field(
        None,
        ge=1,
        le=MAX_NODES,
        description=f"How many machines a dry run plans for, up to {MAX_NODES}; with hosts it is their number.",
    )
    workload: str | None = Field(None, description="A traffic shape of `deploykit workloads`.")
    engine: str = Field(description="A vLLM release of `deploykit engines`.")
    checkpoint: str | None = Field(
        None, description="One of the model's checkpoints; the planner chooses if it is not given."
    )
    speculation: str = Field(
        "off", description="Speculative decoding: `off`, `auto`, or a method of the model (`deploykit models show`)."
    )
    slo: SloIntent = SloIntent()
    settings: dict[str, SettingValue] = Field(
        default_factory=dict, description="vLLM settings that replace the planner's."
    )
    port: int = Field(
        8001,
        ge=FIRST_PORT,
        lt=65536,
        description="First engine port; replicas on one node take the next ones. Below 1024 are root's, and engines are not root.",
    )
    interface: str | None = Field(
        None,
        pattern=patterns.INTERFACE,
        description="Ethernet interface by which the nodes of one engine find each other, the same on every node; "
        "null leaves the choice to vLLM and NCCL.",
    )
    runtime: Literal["environment", "container"] = Field(
        "environment",
        description="How the engine is brought to real nodes: a Python environment of its own, or a container by podman. "
        "A rehearsal has the environment: there is no image of the engine's CPU build.",
    )
    container: ContainerIntent = ContainerIntent()
    gateway: GatewayIntent = GatewayIntent()
    monitoring: MonitoringIntent = MonitoringIntent()
    patience: PatienceIntent = PatienceIntent()
    cost: CostIntent = CostIntent()
    gate: Margins = Margins()

    @field_validator("hosts")
    @classmethod
    def _each_is_a_machine(cls, hosts: tuple[HostIntent, ...]) -> tuple[HostIntent, ...]:
        for what, values in (("name", [h.name for h in hosts]), ("address", [h.address for h in hosts])):
            doubled = next((value for value in values if values.count(value) > 1), None)
            if doubled is not None:
                raise ValueError(f"two of them have the {what} `{doubled}`, and each is a machine of its own")
        return hosts

    @field_validator("nodes")
    @classmethod
    def _as_many_as_hosts(cls, nodes: int | None, info: ValidationInfo) -> int | None:
        hosts = info.data.get("hosts", ())
        if hosts and nodes not in (None, len(hosts)):
            raise ValueError(f"it is {nodes}, but `hosts` names {len(hosts)}: leave it away, hosts are counted")
        return nodes

    @model_validator(mode="after")
    def _not_where_ssh_listens(self) -> "Intent":
        for host in self.hosts:
            for key, port in (("port", self.port), ("gateway.port", self.gateway.port)):
                if port == host.port:
                    raise ValueError(f"`{key}` is {port}, where SSH of `{host.name}` listens: take another")
        return self
