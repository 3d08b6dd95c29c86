"""What comes back of a machine names no card, board or address of it."""

import pytest

XML = """<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>580.00.00</driver_version>
  <gpu id="00000000:00:05.0">
    <product_name>NVIDIA H200</product_name>
    <serial>1650123456789</serial>
    <uuid>GPU-01234567-89ab-cdef-0123-456789abcdef</uuid>
    <board_id>0x500</board_id>
    <module_id>3</module_id>
    <platformInfo><chassis_serial_number>N/A</chassis_serial_number><gpu_fabric_guid>0x1a2b3c</gpu_fabric_guid></platformInfo>
    <fb_memory_usage><total>143771 MiB</total></fb_memory_usage>
    <fabric><cluster_uuid>01234567-89ab-cdef-0123-456789abcdef</cluster_uuid><state>N/A</state></fabric>
  </gpu>
</nvidia_smi_log>
"""


@pytest.fixture
def machine(script):
    return script("machine")


def test_xml_keeps_what_preflight_reads_and_no_name(machine) -> None:
    told = machine.without_names(XML)
    for private in ("1650123456789", "89ab-cdef", "0x1a2b3c"):
        assert private not in told
    for kept in ("580.00.00", "NVIDIA H200", "143771 MiB", "00000000:00:05.0", "<state>N/A</state>"):
        assert kept in told
    assert told.count("</serial>") == 1


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("GPU 0: NVIDIA H200 (UUID: GPU-01234567-89ab-cdef-0123-456789abcdef)", "GPU 0: NVIDIA H200"),
        ("    Serial Number                         : 1650123456789", "Serial Number"),
        ("    GPU UUID                              : GPU-01234567-89ab-cdef-0123-456789abcdef", "GPU UUID"),
        ("NVIDIA H200, 9.0, 143771 MiB, 580.159.04, Enabled", "143771 MiB, 580.159.04"),
    ],
)
def test_text_too(machine, line, kept) -> None:
    told = machine.without_names(line)
    assert kept in told
    assert "89ab" not in told
    assert "1650123456789" not in told
    assert machine.without_names(told) == told


def test_without_nvidia_smi_there_is_no_record(machine, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.records() == {}


def test_an_nvml_that_does_not_answer_is_told(machine) -> None:
    told = machine.nvml()
    assert "error" in told or "power_w" in told
