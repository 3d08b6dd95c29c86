"""`deploykit loadtest`: put a deployment of ours, or any OpenAI-compatible address, under a workload."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import load_hosts, load_inputs, load_options, load_targets, options
from deploykit.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from deploykit.catalog.workload import Workload
    from deploykit.cli.context import Context
    from deploykit.workflows.ports import PowerMeter, Progress
    from deploykit.workflows.trials import Load


def loadtest(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A deployment's name, not needed when there is only one; or the address of an OpenAI-compatible server.",
            show_default=False,
        ),
    ] = None,
    workload: options.WorkloadName = None,
    slo: options.Slo = None,
    users: load_options.Users = None,
    requests_per_s: load_options.RequestsPerS = None,
    duration: load_options.Duration = None,
    processes: load_options.Processes = 1,
    sweep: load_options.Sweep = None,
    start: load_options.From = None,
    highest: load_options.To = None,
    runs: load_options.Runs = 1,
    rate: options.Rate = None,
    offer: options.Offer = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model to ask an address for.", show_default="the only one it has")
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay", metavar="RUN", help="Make the load of an earlier run again: its workload, stages and seed."
        ),
    ] = None,
    power: Annotated[
        list[str] | None,
        typer.Option(
            "--power",
            metavar="nvml|URL",
            help="Read the GPUs' power: `nvml` of this machine's, or a DCGM exporter's address; may be repeated.",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=1, max=65535, help="Serve the generator's own metrics here meanwhile."),
    ] = None,
    trace: load_inputs.Trace = None,
    trace_format: load_inputs.TraceFormat = None,
    speed: load_inputs.Speed = None,
    requests: load_inputs.Requests = None,
    max_context: load_inputs.MaxContext = None,
    prompts: load_inputs.Prompts = None,
    hosts: load_hosts.Hosts = None,
    host_command: load_hosts.HostCommand = None,
    inventory: load_hosts.Inventory = None,
    *,
    shuffle: load_inputs.Shuffle = False,
    keep_prompts: load_inputs.KeepPrompts = False,
    fresh_prompts: load_inputs.FreshPrompts = False,
    find_goodput: load_options.FindGoodput = False,
    certificate: load_options.Certified = True,
    json: options.Json = False,
) -> None:
    """Measure what serves: a deployment again, or any OpenAI-compatible address; the report is in a new run folder."""
    from deploykit.cli.context import Context, parse_slo

    context = Context()
    limits = parse_slo(slo) or {}
    given = load_inputs.Replay(
        trace, trace_format, speed, requests, max_context, prompts, shuffle, keep_prompts, fresh_prompts
    )
    if replay is not None and (trace or prompts):
        raise UsageError("--replay brings its own load", hint="leave out --trace and --prompts")

    def decide(default: str) -> "tuple[Workload, Load]":
        from deploykit.effects.load_inputs import FileInputs
        from deploykit.workflows.planning import with_slo

        traffic = load_inputs.replaying(
            with_slo(_traffic(context, workload, replay, default), limits),
            given,
            duration=duration,
            stages=users is not None or requests_per_s is not None,
            searches=sweep is not None or find_goodput,
        )
        traffic, load = load_options.the_load(
            traffic,
            users=users,
            requests_per_s=requests_per_s,
            duration=duration if trace is None else None,
            processes=processes,
            sweep=sweep,
            find_goodput=find_goodput,
            start=start,
            highest=highest,
            runs=runs,
            certified=certificate,
        )
        traffic = load_inputs.bounded(traffic, given)
        FileInputs().prepare(traffic, None)  # what is wrong with a file is said before anything begins
        return traffic, load_hosts.from_hosts(load, hosts, host_command, inventory)

    meter = _meter(context, power or [])
    with _watched(metrics_port) as watchers:
        if target is not None and "://" in target:
            if rate or offer:
                raise UsageError("what an address costs is not known", hint="--rate and --offer are for deployments")
            load_targets.address(context, target, model, decide, watchers, meter, as_json=json)
            return
        if model is not None:
            raise UsageError("a deployment serves one model", hint="--model is for an address such as http://host:8000")
        load_targets.deployment(context, target, decide, context.cost(rate, offer), watchers, meter, as_json=json)


def _traffic(context: "Context", named: str | None, replay: str | None, default: str) -> "Workload":
    """Return the workload: an earlier run's, the one named, or the default."""
    if replay is None:
        return context.catalog.workload(named or default)
    if named is not None:
        raise UsageError("--replay and --workload exclude each other", hint="a run brings its own workload")
    from deploykit.effects.load_inputs import of_run
    from deploykit.measuring.samples import LoadTestRun, LoadTestSpec

    folder = context.runs.open(replay)
    if folder.path("loadtest-run.json").is_file():
        spec = folder.read("loadtest-run.json", LoadTestRun).spec
    elif folder.path("loadtest.json").is_file():  # it did not come to its end
        spec = folder.read("loadtest.json", LoadTestSpec)
    else:
        raise CatalogError(f"nothing was measured in the run `{replay}`", hint="`deploykit report --list` shows others")
    return of_run(spec.workload, folder.path("inputs"))


def _meter(context: "Context", named: list[str]) -> "PowerMeter | None":
    """Return what reads the GPUs' power, if anything does."""
    if not named:
        return None
    from deploykit.effects.power import DcgmMeter, NvmlMeter, PowerRecorder

    if named == ["nvml"]:
        return PowerRecorder(NvmlMeter())
    wrong = [name for name in named if not name.startswith(("http://", "https://"))]
    if wrong:
        raise UsageError(
            f"--power {wrong[0]} is neither `nvml` alone nor an address",
            hint="such as --power http://node1:9400/metrics",
        )
    return PowerRecorder(DcgmMeter(named, context.catalog.exporters().gpu))


@contextmanager
def _watched(port: int | None) -> "Iterator[tuple[Callable[[Progress], None], ...]]":
    """Serve the generator's metrics while the block runs, if a port is given."""
    if port is None:
        yield ()
        return
    from deploykit.effects.generator_metrics import serving

    with serving(port) as metrics:
        yield (metrics.tell,)
