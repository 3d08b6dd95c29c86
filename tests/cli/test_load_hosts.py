"""The options that say which machines make the load, and the hidden command that they run."""

import io
import json

import pytest

from deploykit import __version__
from deploykit.cli.load_hosts import from_hosts
from deploykit.workflows.trials import Load


def test_hosts_are_named_as_ssh_has_them_or_as_the_inventory_does(tmp_path) -> None:
    load = from_hosts(Load(processes=2), "a, ops@b:2222", "/opt/deploykit", None)
    assert [(h.name, h.user, h.port, h.command) for h in load.hosts] == [
        ("a", None, None, "/opt/deploykit"),
        ("b", "ops", 2222, "/opt/deploykit"),
    ]
    inventory = tmp_path / "i.ini"
    inventory.write_text("far ansible_host=10.0.0.5 ansible_user=ops\nnear\n")
    (host,) = from_hosts(Load(), "far", None, inventory).hosts
    assert (host.name, host.address, host.user, host.command) == ("far", "10.0.0.5", "ops", "deploykit")
    assert from_hosts(Load(processes=2), None, None, None) == Load(processes=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--hosts", ","], "--hosts names no machine"),
        (["--hosts", "a,b,a"], "--hosts names `a` twice"),
        (["--hosts", "-oProxyCommand=x"], "is not a host"),
        (["--hosts", "a,b,c", "--processes", "100"], "more than 256 processes"),
        (["--host-command", "x"], "--host-command is about machines"),
        (["--inventory", "x"], "--inventory is about machines"),
        (["--hosts", "a", "--inventory", "missing.yml"], "there is no inventory missing.yml"),
    ],
)
def test_what_contradicts_itself_is_one_error(run, options: list[str], says: str) -> None:
    ran = run("loadtest", "http://127.0.0.1:9", "--model", "m", *options)
    assert ran.code == 2, ran.err
    assert says in ran.err


def test_a_name_that_the_inventory_does_not_know_is_an_error(run, tmp_path) -> None:
    (tmp_path / "i.ini").write_text("far\n")
    ran = run("loadtest", "http://127.0.0.1:9", "--model", "m", "--hosts", "fra", "-i", str(tmp_path / "i.ini"))
    assert ran.code == 2
    assert "there is no host `fra`" in ran.err
    assert "its hosts are far" in ran.err


def test_the_agent_says_what_is_installed_and_refuses_what_is_no_order(run, monkeypatch) -> None:
    ran = run("load-agent", "--check")
    assert json.loads(ran.out)["deploykit"] == __version__
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    ran = run("load-agent")
    assert ran.code == 2
    assert "no order of a load test" in ran.err
    assert "load-agent" not in run("--help").out
