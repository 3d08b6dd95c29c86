"""NVLink, topology, Fabric Manager and IMEX on recorded outputs of healthy and broken nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

ACTIVE = "LoadState=loaded\nActiveState=active\nSubState=running\n"
FAILED = "LoadState=loaded\nActiveState=failed\nSubState=failed\n"
ABSENT = "LoadState=not-found\nActiveState=inactive\nSubState=dead\n"
VERSION = "Fabric Manager version is : {}\n"


@pytest.fixture
def fabric(module):
    return module("deploykit_check_fabric")


def short(findings):
    return [(f["severity"], f["check"]) for f in findings]


def test_links_that_are_up(fabric, output, recorded):
    assert fabric.nvlink(18, output(recorded("nvlink-h100.txt")))["severity"] == "info"


@pytest.mark.parametrize(
    ("file", "links", "evidence"),
    [
        ("nvlink-v100-inactive.txt", 6, "GPU 3: 4 of 6 up"),
        ("composed-nvlink-one-gpu-down.txt", 18, "GPU 1: 0 of 18 up"),
        ("nvlink-b200-cut-short.txt", 18, "GPU 0: 12 of 18 up"),
    ],
)
def test_links_that_are_down(fabric, output, recorded, file, links, evidence):
    found = fabric.nvlink(links, output(recorded(file)))
    assert (found["severity"], found["evidence"]) == ("blocker", evidence)


def test_links_nobody_knows_of(fabric, output):
    assert fabric.nvlink(None, output("x"))["severity"] == "skipped"
    assert fabric.nvlink(0, output("x"))["severity"] == "skipped"
    assert fabric.nvlink(18, output(why="nvidia-smi is not installed"))["severity"] == "skipped"
    assert fabric.nvlink(18, output(why="`nvidia-smi nvlink -s` ended with 9"))["severity"] == "blocker"


def test_every_two_gpus_talk_over_nvlink(fabric, output, recorded):
    assert fabric.topology(18, output(recorded("topo-h100.txt")))["severity"] == "info"


def test_a_gpu_that_others_reach_past_nvlink(fabric, output, recorded):
    found = fabric.topology(18, output(recorded("topo-b200-one-gpu-past-nvlink.txt")))
    assert found["severity"] == "blocker"
    assert found["evidence"].startswith("7 pairs of GPUs talk past NVLink: 0-2 NODE, 1-2 NODE, 2-3 NODE, 2-4 SYS")


@pytest.mark.parametrize(
    ("show", "version", "journal", "expected"),
    [
        (ACTIVE, "580.95.05", "", [("info", "fabric manager"), ("info", "fabric manager version")]),
        (ACTIVE, "580.82.07", "", [("info", "fabric manager"), ("blocker", "fabric manager version")]),
        (ABSENT, "", "", [("blocker", "fabric manager")]),
        (FAILED, "550.127.05", "fabricmanager-journal-mismatch.txt",
         [("blocker", "fabric manager"), ("blocker", "fabric manager version")]),
    ],
)  # fmt: skip
def test_fabric_manager(fabric, output, recorded, show, version, journal, expected):
    said = output(recorded(journal)) if journal else output()
    found = fabric.fabric_manager(True, output(show), output(VERSION.format(version)), said, "580.95.05")
    assert short(found) == expected


@pytest.mark.parametrize(
    ("journal", "word"),
    [
        ("fabricmanager-journal-mismatch.txt", "550.127.05"),
        ("fabricmanager-journal-nothing-to-do.txt", "NV_WARN_NOTHING_TO_DO"),
    ],
)
def test_why_fabric_manager_ended_is_quoted(fabric, output, recorded, journal, word):
    found = fabric.fabric_manager(True, output(FAILED), output(why="missing"), output(recorded(journal)), "550.120")
    assert word in found[0]["evidence"]
    assert found[0]["mend"]


def test_fabric_manager_where_it_does_not_belong(fabric, output):
    assert short(fabric.fabric_manager(False, output(FAILED), output(), output(), None)) == [
        ("warning", "fabric manager")
    ]
    assert short(fabric.fabric_manager(False, output(ABSENT), output(), output(), None)) == [
        ("skipped", "fabric manager")
    ]
    assert short(fabric.fabric_manager(None, output(ACTIVE), output(), output(), None)) == [
        ("skipped", "fabric manager")
    ]
    no_systemd = output(why="systemctl is not installed")
    assert short(fabric.fabric_manager(True, no_systemd, output(), output(), None)) == [("warning", "fabric manager")]


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "info"),
        ({"state": "In Progress", "status": "N/A", "health": "N/A"}, "blocker"),
        ({"state": "Completed", "status": "Failure"}, "blocker"),
        ({"health": "Unhealthy"}, "warning"),
    ],
)
def test_the_fabric_of_every_gpu(fabric, output, smi_xml, changes, severity):
    assert fabric.fabric_state(True, output(smi_xml(wrong=changes)))["severity"] == severity


def test_a_fabric_nobody_tells_of(fabric, output, smi_xml, recorded):
    assert fabric.fabric_state(None, output(smi_xml()))["severity"] == "skipped"
    assert fabric.fabric_state(True, output(recorded("smi-a100-mig.xml")))["severity"] == "skipped"
    assert fabric.fabric_state(True, output(why="nvidia-smi is not installed"))["severity"] == "skipped"


def test_the_subnet_managers_module(fabric, output, recorded):
    assert fabric.subnet_manager(True, output("ib_umad 40960 0 - Live 0x0\n"))["severity"] == "info"
    assert fabric.subnet_manager(True, output(recorded("modules-h100-peermem.txt")))["severity"] == "warning"
    assert fabric.subnet_manager(False, output())["severity"] == "skipped"


def test_imex_with_every_tray_connected(fabric, output, recorded):
    (found,) = fabric.imex(True, True, output(ACTIVE), output(recorded("imex-18-trays.txt")), True)
    assert (found["severity"], found["evidence"]) == ("info", "domain UP, 18 nodes ready")


def test_imex_that_is_broken(fabric, output, recorded):
    found = fabric.imex(True, True, output(ACTIVE), output(recorded("composed-imex-degraded.txt")), False)
    assert short(found) == [("blocker", "imex"), ("blocker", "imex channel")]
    assert found[0]["evidence"] == ("domain DEGRADED; not ready: 172.31.48.98 (UNAVAILABLE); 3 of 4 connections not up")


def test_imex_matters_to_several_trays_alone(fabric, output):
    assert short(fabric.imex(True, True, output(FAILED), output(), True)) == [("blocker", "imex")]
    assert short(fabric.imex(True, True, output(ACTIVE), output(why="missing"), True)) == [("warning", "imex")]
    for needed, spans in ((True, False), (False, True), (None, True)):
        assert short(fabric.imex(needed, spans, output(FAILED), output(), False)) == [("skipped", "imex")]


WORDS = st.lists(
    st.sampled_from(["GPU0", "GPU1", "GPU12:", "X", "NV18", "Link 3:", "5 GB/s", "\n", "Node #0 - a - READY", "Domain State: UP", "7", "C", "!V!"])
    | st.text(max_size=5)
).map(" ".join)  # fmt: skip


@given(WORDS, WORDS)
def test_no_output_crashes(module, output, text, other):
    fabric = module("deploykit_check_fabric")
    assert fabric.nvlink(18, output(text))
    assert fabric.topology(18, output(text))
    assert fabric.imex(True, True, output(ACTIVE), output(text), True)
    assert fabric.fabric_manager(True, output(text), output(other), output(other), "580")
    assert fabric.subnet_manager(True, output(text))
