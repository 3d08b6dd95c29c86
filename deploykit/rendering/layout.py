"""A plan and its hosts in, the engine processes out: which node, which port, which GPUs, which rank."""

from collections.abc import Mapping

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.engine import FlagTable
from deploykit.errors import PlanningError, UnsupportedSettingError
from deploykit.planning.plan import Choice, Parallelism, Plan
from deploykit.rendering.options import GatewayOptions

METRICS_PORT = 8405
"""Where the gateway shows its own metrics, on loopback: the port HAProxy's documentation uses for it."""

ROUTER_PORT = 8406
"""Where the router answers the gateway, on loopback."""

ROUTER_METRICS_PORT = 8407
"""Where the router shows its own metrics, on loopback."""

MONITORING_PORT = 9090
"""Where Prometheus shows what it gathered, on the first node's loopback: its own default."""

NODE_EXPORTER_PORT = 9100
"""Where each node's exporter answers: its own default."""

GPU_EXPORTER_PORT = 9400
"""Where each GPU node's DCGM exporter answers: its own default."""

PROBE_PORT = 9115
"""Where the exporter that probes the gateway's certificate answers, on the first node's loopback: its own default."""

GATEWAY, PROMETHEUS, NODE_EXPORTER = "the gateway", "Prometheus", "the node exporter"
GPU_EXPORTER, PROBE = "the GPU exporter", "the certificate's probe"
"""Who listens, in words."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "local"})


class Pool(Value):
    """Engines of one layout, on nodes of their own.

    A plan is one pool. Prefill and decode apart would be two, each with its layout and its nodes one after the other,
    told apart by a name before those of their engines; all that is placed and rendered goes by an instance's layout.
    """

    name: str | None = Field(None, description="Null where there is one pool.")
    layout: Parallelism
    first_node: int = 0
    nodes: int

    def called(self, name: str) -> str:
        """Return an engine's name among those of all pools."""
        return f"{self.name}-{name}" if self.name else name


class Instance(Value):
    """One engine process on one node. An engine over several nodes has one instance per node, its ranks."""

    name: str
    layout: Parallelism = Field(Parallelism(), description="How the engine that it is part of is spread over GPUs.")
    node_index: int
    host: str = Field(description="The node's address as the inventory has it.")
    port: int = Field(description="Where the engine answers; of an engine over several nodes only rank 0 does.")
    listen: str = Field(description="Address the engine binds to.")
    gpus: tuple[int, ...] | None = Field(None, description="GPUs it may use; null is all of its node.")
    rank: int = 0
    ranks: int = 1
    master_address: str | None = None
    master_port: int | None = None
    data_port: int | None = Field(None, description="Where the data-parallel ranks of several nodes meet.")
    interface: str | None = Field(None, description="Network interface by which the ranks find each other.")

    @property
    def headless(self) -> bool:
        """Whether it serves no HTTP of its own."""
        return self.rank > 0

    @property
    def folder(self) -> str:
        """Its folder in the bundle."""
        return f"engine/{self.name}"

    @property
    def address(self) -> str:
        """Return `host:port` as seen from the first node, where gateway and monitoring run."""
        return f"{'127.0.0.1' if self.node_index == 0 else bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """Return a host as it stands in an address: an IPv6 literal in brackets."""
    return f"[{host}]" if ":" in host else host


def is_planners(choice: Choice) -> bool:
    """Return whether a choice is the planner's own and not a profile's or the operator's."""
    return choice.source.startswith("planner")


def instances(
    plan: Plan, *, hosts: tuple[str, ...], gateway: GatewayOptions, flags: FlagTable, interface: str | None = None
) -> tuple[Instance, ...]:
    """Return every engine process of a plan, in the order of nodes; without hosts nodes are called node-0, node-1..."""
    names = hosts or tuple(f"node-{index}" for index in range(plan.nodes))
    if len(names) != plan.nodes:
        raise PlanningError(
            f"the plan is for {plan.nodes} node(s), but there are {len(names)} host(s): {', '.join(names)}",
            hint=f"name {plan.nodes} host(s), or plan for {len(names)} node(s)",
        )
    ports = _ports(plan, gateway, flags)
    found = tuple(i for pool in pools(plan) for i in _placed(plan, pool, names, gateway, ports))
    listeners(found, plan, gateway)  # refuses ports that clash
    return tuple(i.model_copy(update={"interface": interface}) if i.ranks > 1 else i for i in found)


def pools(plan: Plan) -> tuple[Pool, ...]:
    """Return a plan's pools, in the order of their nodes."""
    return (Pool(layout=plan.parallelism, nodes=plan.nodes),)


def _placed(
    plan: Plan, pool: Pool, hosts: tuple[str, ...], gateway: GatewayOptions, ports: Mapping[str, int]
) -> tuple[Instance, ...]:
    place = _spanning if pool.layout.nodes_per_engine > 1 else _replicas
    return place(plan, pool, hosts, gateway, ports)


def _replicas(
    plan: Plan, pool: Pool, hosts: tuple[str, ...], gateway: GatewayOptions, ports: Mapping[str, int]
) -> tuple[Instance, ...]:
    """Return engines that each live on one node, as evenly spread as they go."""
    layout = pool.layout
    per_node = -(-layout.replicas // pool.nodes)
    if plan.runtime == "cuda" and per_node * layout.gpus_per_engine > plan.gpus_per_node:
        raise PlanningError(
            f"{per_node} engine(s) of {layout.gpus_per_engine} GPUs do not fit a node of {plan.gpus_per_node} GPUs",
            hint="plan for more nodes, or for fewer replicas",
        )
    found = []
    for number in range(layout.replicas):
        at, slot = divmod(number, per_node)
        node = pool.first_node + at
        first = slot * layout.gpus_per_engine
        shared = plan.runtime == "cuda" and per_node > 1
        found.append(
            Instance(
                name=pool.called(f"engine-{number}"),
                layout=layout,
                node_index=node,
                host=hosts[node],
                port=ports["http"] + slot,
                listen=_listen(plan, node, hosts[node], gateway),
                gpus=tuple(range(first, first + layout.gpus_per_engine)) if shared else None,
            )
        )
    return tuple(found)


def _spanning(
    plan: Plan, pool: Pool, hosts: tuple[str, ...], gateway: GatewayOptions, ports: Mapping[str, int]
) -> tuple[Instance, ...]:
    """Return the ranks of engines that each span several nodes."""
    layout = pool.layout
    if layout.nodes_per_engine * layout.replicas > pool.nodes:
        raise PlanningError(
            f"{layout.replicas} engine(s) over {layout.nodes_per_engine} nodes each need more than {pool.nodes} node(s)"
        )
    found = []
    for engine in range(layout.replicas):
        first = pool.first_node + engine * layout.nodes_per_engine
        for rank in range(layout.nodes_per_engine):
            node = first + rank
            found.append(
                Instance(
                    name=pool.called(f"rank-{rank}" if layout.replicas == 1 else f"engine-{engine}-rank-{rank}"),
                    layout=layout,
                    node_index=node,
                    host=hosts[node],
                    port=ports["http"],
                    listen=_listen(plan, node, hosts[node], gateway),
                    rank=rank,
                    ranks=layout.nodes_per_engine,
                    master_address=hosts[first],
                    master_port=ports["master"],
                    data_port=ports["data"] if layout.data > 1 else None,
                )
            )
    return tuple(found)


def _ports(plan: Plan, gateway: GatewayOptions, flags: FlagTable) -> dict[str, int]:
    """Return the ports the plan or the release names; engines behind a gateway start at the port after its own."""
    http = _whole(plan, "port") or (gateway.port + 1 if gateway.enabled else gateway.port)
    master = _whole(plan, "master-port") or _default(flags, "master-port") or http + 1
    return {"http": http, "master": master, "data": _whole(plan, "data-parallel-rpc-port") or master + 1}


def _whole(plan: Plan, name: str) -> int | None:
    value = plan.setting(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _default(flags: FlagTable, name: str) -> int | None:
    flag = flags.flags.get(name)
    return int(flag.default) if flag and flag.default and flag.default.isdigit() else None


def _listen(plan: Plan, node: int, host: str, gateway: GatewayOptions) -> str:
    """Return the address to bind to: loopback wherever nobody has to ask from outside, as in a rehearsal.

    The operator's own wish comes first; the planner's is a default, for it knows neither hosts nor gateway.
    """
    chosen = next((c for c in plan.settings if c.setting == "host" and not is_planners(c)), None)
    if chosen is not None and isinstance(chosen.value, str):
        return chosen.value
    local = (
        host in _LOOPBACK or (gateway.enabled and node == 0) or (plan.stand_in is not None and host == f"node-{node}")
    )
    return "127.0.0.1" if local else "0.0.0.0"  # noqa: S104 - clients or the gateway on another node must reach it


def gateway_name(found: tuple[Instance, ...], gateway: GatewayOptions) -> str:
    """Return what callers and the certificate call the gateway: its domain, or the address of the first node."""
    return gateway.domain or next(i.host for i in found if i.node_index == 0)


def at_home(hosts: tuple[str, ...]) -> bool:
    """Return whether a plan stays on this machine, or names no hosts yet: then nobody calls from outside."""
    return all(host in _LOOPBACK or host == f"node-{index}" for index, host in enumerate(hosts))


def monitored(plan: Plan, gateway: GatewayOptions) -> bool:
    """Return whether Prometheus is installed: a rehearsal on this machine, which has no gateway, is not its business."""
    return gateway.monitoring and (plan.stand_in is None or gateway.enabled)


def listeners(found: tuple[Instance, ...], plan: Plan, gateway: GatewayOptions) -> dict[tuple[int, int], str]:
    """Return who listens, by (node's position in the inventory, port).

    Raises:
        UnsupportedSettingError: there is no such port, or two listeners of one node would share it.

    """
    taken = _monitoring_ports(plan, gateway) if monitored(plan, gateway) else {}
    if gateway.enabled:
        taken[0, METRICS_PORT] = "the gateway's metrics"
        if gateway.router and sum(not instance.headless for instance in found) > 1:
            taken |= {(0, ROUTER_PORT): "the router", (0, ROUTER_METRICS_PORT): "the router's metrics"}
        _take(taken, 0, gateway.port, GATEWAY)
    for instance in found:
        wanted = {} if instance.headless else {instance.port: instance.name}
        if instance.rank == 0 and instance.ranks > 1:
            wanted |= {port: "the ranks" for port in (instance.master_port, instance.data_port) if port}
        for port, who in wanted.items():
            _take(taken, instance.node_index, port, who)
    return taken


def _monitoring_ports(plan: Plan, gateway: GatewayOptions) -> dict[tuple[int, int], str]:
    every = {NODE_EXPORTER_PORT: NODE_EXPORTER}
    if plan.runtime == "cuda":
        every[GPU_EXPORTER_PORT] = GPU_EXPORTER
    first = {(0, MONITORING_PORT): PROMETHEUS}
    if gateway.enabled and gateway.tls != "off":
        first[0, PROBE_PORT] = PROBE
    return first | {(node, port): who for node in range(plan.nodes) for port, who in every.items()}


def _take(taken: dict[tuple[int, int], str], node: int, port: int, who: str) -> None:
    other = taken.setdefault((node, port), who)
    if other != who or port > 65535:
        trouble = f"{who} and {other} both want port {port}" if other != who else f"there is no port {port}"
        raise UnsupportedSettingError(trouble, hint="set `port` or the gateway's port to another number")
