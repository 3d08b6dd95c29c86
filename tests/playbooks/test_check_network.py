"""RDMA ports, GPUDirect and the all-reduce on recorded outputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def network(module):
    return module("deploykit_check_network")


@pytest.mark.parametrize(
    ("file", "severity", "evidence"),
    [
        ("ibstat-400.txt", "info", "2 of 2 ports active at 400 Gbit/s"),
        ("ibstat-roce.txt", "info", "2 of 2 ports active at 200 Gbit/s"),
        ("ibstat-ends-in-panic.txt", "info", "1 of 1 ports active at 200 Gbit/s"),
        ("ibstat-one-port-down.txt", "warning", "1 of 2 ports active at 200 Gbit/s: mlx5_1 is Down (Disabled)"),
    ],
)
def test_ports_by_ibstat(network, output, recorded, file, severity, evidence):
    (found,) = network.ports(True, output(recorded(file)), output(why="rdma is not installed"))
    assert (found["severity"], found["evidence"]) == (severity, evidence)


@pytest.mark.parametrize(
    ("file", "severity", "evidence"),
    [
        ("rdma-link.txt", "info", "2 of 2 ports active"),
        ("composed-rdma-link-down.txt", "warning", "1 of 2 ports active: mlx5_1 is Down (DISABLED)"),
    ],
)
def test_ports_by_rdma_where_ibstat_is_missing(network, output, recorded, file, severity, evidence):
    (found,) = network.ports(True, output(why="ibstat is not installed"), output(recorded(file)))
    assert (found["severity"], found["evidence"]) == (severity, evidence)


def test_no_port_at_all(network, output):
    missing = network.ports(True, output(why="ibstat is not installed"), output(why="rdma is not installed"))
    assert (missing[0]["severity"], missing[0]["evidence"]) == (
        "warning",
        "ibstat is not installed; rdma is not installed",
    )
    assert network.ports(False, output(), output())[0]["severity"] == "skipped"


def test_gpudirect(network, output, recorded):
    loaded, none = output(recorded("modules-h100-peermem.txt")), output("nvidia 1 0\n")
    is_open = output("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.158.01  Release Build\n")
    assert network.gpudirect(True, loaded, output(), "5.4.0")["severity"] == "info"
    assert network.gpudirect(True, none, is_open, "6.8.0-90-generic")["severity"] == "info"
    assert network.gpudirect(True, none, is_open, "5.4.0")["severity"] == "warning"
    assert network.gpudirect(True, none, output(), "6.8.0")["severity"] == "warning"
    assert network.gpudirect(False, none, output(), "6.8.0")["severity"] == "skipped"


def test_the_all_reduce_is_held_against_the_floor(network, output, recorded):
    measured = output(recorded("nccl-h100-pcie.txt"))
    assert network.all_reduce(100, measured)["severity"] == "info"
    slow = network.all_reduce(460, measured)
    assert (slow["severity"], slow["evidence"]) == (
        "blocker", "116 GB/s bus bandwidth at the largest size; the profile's floor is 460",
    )  # fmt: skip
    assert network.all_reduce(None, measured)["severity"] == "skipped"
    assert network.all_reduce(460, output(why="all_reduce_perf is not installed"))["severity"] == "warning"
    assert network.all_reduce(460, output("no table"))["severity"] == "warning"


@given(
    st.lists(
        st.sampled_from(
            ["CA 'a'\n", " Port 1:\n", " State: Active\n", " Rate: x\n", "link a/1 state ACTIVE physical_state UP\n"]
        )
        | st.text(max_size=6)
    ).map("".join)
)
def test_no_output_crashes(module, output, text):
    network = module("deploykit_check_network")
    assert network.ports(True, output(text), output(text))
    assert network.gpudirect(True, output(text), output(text), text)
    assert network.all_reduce(1.0, output(text))
