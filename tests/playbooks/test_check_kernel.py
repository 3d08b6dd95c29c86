"""Xids in recorded kernel logs, and modules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def xids(module, output, xid_table):
    def look(text):
        return module("deploykit_check_kernel").xids(output(text), xid_table)

    return look


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("xid-h100-double-bit-error.txt", [("warning", "48"), ("warning", "63"), ("warning", "94")]),
        ("xid-79-and-119.txt", [("blocker", "79"), ("blocker", "119")]),
        ("xid-74-nvlink.txt", [("blocker", "74")]),
        ("xid-145-nonfatal.txt", [("warning", "145")]),
        ("xid-nvlink-149.txt", [("info", "45")]),
    ],
)
def test_recorded_xids(xids, recorded, file, expected):
    found = xids(recorded(file))
    assert [(f["severity"], f["evidence"].split()[1]) for f in found] == expected
    assert all(f["mend"] for f in found if f["severity"] != "info")


def test_many_of_one_are_told_once_with_where(xids, recorded):
    (found,) = xids(recorded("xid-nvlink-149.txt"))
    assert "4 x on 0000:97:00, 0000:ba:00, 0000:dc:00 and 1 more" in found["evidence"]


def test_a_gpu_that_fell_off_the_bus_without_an_xid(xids, recorded):
    (found,) = xids(recorded("kernel-fallen-without-xid.txt"))
    assert found["severity"] == "blocker"
    assert "fallen off the bus" in found["evidence"]


def test_an_xid_nobody_described_is_a_warning(xids):
    (found,) = xids("NVRM: Xid (PCI:0000:c5:00): 9999, something")
    assert (found["severity"], found["evidence"]) == ("warning", "Xid 9999, 1 x on 0000:c5:00: something")


def test_a_clean_log_and_none_at_all(module, output, xids):
    assert [f["severity"] for f in xids("systemd[1]: Started.\n")] == ["info"]
    kernel = module("deploykit_check_kernel")
    assert [f["severity"] for f in kernel.xids(output(why="journalctl is not installed"), {})] == ["skipped"]


def test_every_xid_of_the_table_says_what_to_do(xid_table):
    for entry in xid_table.values():
        assert entry["severity"] in {"blocker", "warning", "info"}
        assert entry["says"]
        assert bool(entry["mend"]) == (entry["severity"] != "info")


def test_nouveau(module, output, recorded):
    kernel = module("deploykit_check_kernel")
    assert kernel.nouveau(output("nouveau 1 0\n"))["severity"] == "blocker"
    assert kernel.nouveau(output("nouveau 1 0\nnvidia 1 0\n"))["severity"] == "info"
    assert kernel.nouveau(output(recorded("modules-h100-peermem.txt")))["severity"] == "info"
    assert kernel.nouveau(output(why="no"))["severity"] == "skipped"


@given(
    st.lists(
        st.sampled_from(["NVRM: Xid (PCI:0000:c5:00): ", "79, ", "NVRM: ", "fallen off the bus", "\n"])
        | st.text(max_size=4)
    ).map("".join)
)
def test_no_log_crashes(module, output, xid_table, text):
    kernel = module("deploykit_check_kernel")
    assert kernel.xids(output(text), xid_table)
    assert kernel.nouveau(output(text))
