"""The options of a load: what they make of a workload, and what contradicts itself."""

import datetime as dt
from typing import Any

import pytest

from deploykit.catalog.workload import ClosedLoop, OpenLoop, Workload
from deploykit.cli.load_options import the_load
from deploykit.errors import UsageError
from deploykit.measuring.samples import LoadTestSpec
from deploykit.workflows.report import Target
from deploykit.workflows.trials import Load
from tests.loadtests.builders import make_workload

ADDRESS = "http://127.0.0.1:9"
OF_A_RUN = make_workload(warmup_s=5, stages=(ClosedLoop(users=2, duration_s=40), ClosedLoop(users=4, duration_s=60)))


def load(**options: Any) -> tuple[Workload, Load]:
    none = dict.fromkeys(("users", "requests_per_s", "duration", "sweep", "start", "highest"))
    return the_load(OF_A_RUN, **none | {"processes": 1, "runs": 1, "find_goodput": False, "certified": True} | options)


def test_without_options_the_workload_is_put_on_once_as_it_is() -> None:
    assert load() == (OF_A_RUN, Load())


def test_users_are_one_closed_stage_which_lasts_its_warm_up_longer() -> None:
    assert load(users=7, duration=10)[0].stages == (ClosedLoop(users=7, duration_s=15),)
    assert load(users=7)[0].stages == (ClosedLoop(users=7, duration_s=45),)


def test_a_rate_is_one_stage_of_poisson_arrivals() -> None:
    assert load(requests_per_s=2.5, duration=10)[0].stages == (OpenLoop(requests_per_s=2.5, duration_s=15),)


def test_runs_repeat_the_workload() -> None:
    assert load(runs=3) == (OF_A_RUN, Load(kind="runs", runs=3))


def test_a_sweep_takes_its_own_loads() -> None:
    workload, found = load(sweep="users")
    assert workload == OF_A_RUN
    assert found == Load(kind="sweep", of="users", start=1, highest=256, trial_s=60)
    found = load(sweep="rate", start=4.0, highest=8.0, duration=30, processes=2)[1]
    assert found == Load(kind="sweep", of="requests/s", start=4, highest=8, trial_s=30, processes=2)


def test_a_search_is_of_rates() -> None:
    assert load(find_goodput=True)[1] == Load(kind="goodput", of="requests/s", start=1, highest=1000, trial_s=60)


def test_the_certificate_can_be_turned_off() -> None:
    for way in ({}, {"sweep": "users"}, {"find_goodput": True}, {"runs": 2}):
        assert not load(certified=False, **way)[1].certified


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sweep": "users", "find_goodput": True}, "--sweep and --find-goodput exclude each other"),
        ({"sweep": "users", "runs": 2}, "--sweep and --runs exclude each other"),
        ({"users": 2, "requests_per_s": 1}, "--users and --requests-per-s exclude each other"),
        ({"users": 2, "sweep": "users"}, "--users says nothing to --sweep"),
        ({"requests_per_s": 2, "find_goodput": True}, "--requests-per-s says nothing to --find-goodput"),
        ({"start": 2.0}, "--from and --to bound a --sweep"),
        ({"sweep": "users", "start": 9.0, "highest": 8.0}, "--from 9 is above --to 8"),
        ({"sweep": "users", "start": 300.0}, "--from 300 is above --to 256"),
        ({"sweep": "tokens"}, "it is `users` or `rate`"),
        ({"duration": 5.0}, "--duration is that of one stage"),
        ({"users": 2, "duration": 1e300}, "longer than a week"),
        ({"users": 2, "duration": 0.0}, "--duration 0 is not above zero"),
        ({"requests_per_s": float("inf")}, "--requests-per-s inf is not above zero"),
        ({"requests_per_s": float("nan")}, "--requests-per-s nan is not above zero"),
        ({"sweep": "rate", "start": -1.0}, "--from -1 is not above zero"),
        ({"requests_per_s": 1e9, "duration": 3600.0}, "requests in one stage are more than it can number"),
        ({"sweep": "users", "start": 1.0, "highest": 1e12}, "--to 1e+12"),
    ],
)
def test_what_contradicts_itself_is_a_wrong_argument(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(**options)
    assert says in caught.value.what
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((ADDRESS, "--sweep", "x"), "`--sweep x`"),
        ((ADDRESS, "--users", "0"), "--users"),
        ((ADDRESS, "--users", "2", "--runs", "0"), "--runs"),
        ((ADDRESS, "--runs", "51"), "--runs"),
        ((ADDRESS, "--processes", "0"), "--processes"),
        ((ADDRESS, "--metrics-port", "70000"), "--metrics-port"),
        ((ADDRESS, "--slo", "ttft=fast"), "ttft"),
        ((ADDRESS, "--rate", "owned"), "what an address costs is not known"),
        ((ADDRESS, "--power", "amps"), "neither `nvml` alone nor an address"),
        ((ADDRESS, "--replay", "x", "--workload", "chat"), "--replay and --workload exclude each other"),
        (("--model", "x"), "a deployment serves one model"),
        (("ftp://host",), "is not an http or https address"),
        (("http://",), "is not an http or https address"),
        (("http://host:99999",), "is not an http or https address"),
        (("http://host:0",), "is not an http or https address"),
        (("http://host?key=1",), "is not an http or https address"),
    ],
)
def test_wrong_arguments_are_one_error_before_anything_is_asked(run, arguments: tuple[str, ...], says: str) -> None:
    ran = run("loadtest", *arguments)
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_a_key_in_an_address_is_refused_and_not_repeated(run) -> None:
    ran = run("loadtest", "http://user:sk-secret@host")
    assert (ran.code, "sk-secret" in ran.err) == (2, False)
    assert "DEPLOYKIT_API_KEY" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--workload", "nosuch"), "nosuch"), (("--replay", "nosuch"), "nosuch")]
)
def test_a_name_that_is_not_there_is_one_error(run, arguments: tuple[str, ...], says: str) -> None:
    ran = run("loadtest", ADDRESS, *arguments)
    assert ran.code == 3, ran.err
    assert says in ran.err


def test_an_interrupted_load_can_be_made_again(run) -> None:
    from deploykit.cli.context import Context
    from deploykit.cli.loadtest import _traffic

    context = Context()
    folder = context.runs.create(model="m", node="address", now=dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    folder.write("target.json", Target(base_url=ADDRESS, model="m"))
    folder.write("loadtest.json", LoadTestSpec(base_url=ADDRESS, model="m", workload=OF_A_RUN))
    assert _traffic(context, None, "latest", "chat") == OF_A_RUN
