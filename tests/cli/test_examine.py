"""`preflight` and `doctor` on this machine, with real Ansible."""

import json
import socket

CHANGED_NOTHING = "nothing was changed"


def test_preflight_of_a_rehearsal_says_that_no_gpu_is_looked_at(run, tmp_path):
    ran = run("preflight", "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)["result"]
    (host,) = result["hosts"]
    (gpu,) = [finding for finding in host["findings"] if finding["check"] == "gpu"]
    assert (gpu["severity"], "rehearsal" in gpu["evidence"]) == ("skipped", True)
    assert result["counts"]["blocker"] == 0
    assert not (tmp_path / "data/rehearsal").exists()
    assert not (tmp_path / "data/deployments/rehearsal/inventory.yml").exists()


def test_preflight_with_a_blocker_ends_with_6_and_tells_the_rest_too(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = run("preflight", "--port", str(port), "--all")
    assert ran.code == 6
    assert f"port {port}" in ran.out
    assert "python" in ran.out
    assert CHANGED_NOTHING in ran.out
    assert "to be mended first: localhost" in ran.err


def test_preflight_of_a_node_needs_hosts(run):
    ran = run("preflight", "deepseek-v4-flash", "--node", "h200-sxm-8x")
    assert ran.code == 2
    assert "no hosts" in ran.err


def test_doctor_without_a_deployment_says_so(run):
    ran = run("doctor")
    assert ran.code == 3
    assert "nothing is deployed from here" in ran.err
