import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

# importlib mode puts no test folder on the path; the loader is this folder's own.
_spec = importlib.util.spec_from_file_location("deploykit_test_modules", Path(__file__).with_name("modules.py"))
_modules = importlib.util.module_from_spec(_spec)
sys.modules["deploykit_test_modules"] = _modules
_spec.loader.exec_module(_modules)


@pytest.fixture(scope="session")
def module():
    """Load one of the playbooks' modules by its name."""
    return _modules.load


@pytest.fixture(scope="session")
def playbooks():
    """The folder of playbooks."""
    return _modules.PLAYBOOKS


@pytest.fixture(scope="session")
def recorded():
    """Read a recorded output by its file's name."""
    return lambda name: Path(__file__).with_name("recorded").joinpath(name).read_text()


GPU_XML = """
<gpu id="00000000:{index:02X}:00.0">
  <product_name>{name}</product_name>
  <persistence_mode>{persistence}</persistence_mode>
  <mig_mode><current_mig>{mig}</current_mig></mig_mode>
  <gpu_recovery_action>{recovery}</gpu_recovery_action>
  <pci><pci_gpu_link_info><link_widths>
    <max_link_width>16x</max_link_width><current_link_width>{width}x</current_link_width>
  </link_widths></pci_gpu_link_info></pci>
  <fb_memory_usage><total>81559 MiB</total></fb_memory_usage>
  <ecc_mode><current_ecc>{ecc}</current_ecc></ecc_mode>
  <ecc_errors>
    <volatile>
      <sram_uncorrectable_parity>0</sram_uncorrectable_parity><sram_uncorrectable_secded>0</sram_uncorrectable_secded>
      <dram_correctable>177</dram_correctable><dram_uncorrectable>{uncorrected}</dram_uncorrectable>
    </volatile>
    <aggregate><sram_threshold_exceeded>{threshold}</sram_threshold_exceeded></aggregate>
  </ecc_errors>
  <remapped_rows>
    <remapped_row_pending>{pending}</remapped_row_pending><remapped_row_failure>{failure}</remapped_row_failure>
  </remapped_rows>
  <fabric><state>{state}</state><status>{status}</status><health><summary>{health}</summary></health></fabric>
  <processes>{processes}</processes>
</gpu>"""
HEALTHY = {
    "name": "NVIDIA H100 80GB HBM3", "persistence": "Enabled", "mig": "Disabled", "recovery": "None", "width": 16,
    "ecc": "Enabled", "uncorrected": 0, "threshold": "No", "pending": "No", "failure": "No", "state": "Completed",
    "status": "Success", "health": "Healthy", "processes": "",
}  # fmt: skip


@pytest.fixture(scope="session")
def smi_xml():
    """Compose `nvidia-smi -q -x` of a node: `wrong` changes GPU 3 alone, `every` all of them."""

    def make(wrong=None, every=None, count=8, driver="580.95.05", cuda="13.0", attached=None):
        gpus = [
            GPU_XML.format(index=index, **{**HEALTHY, **(every or {}), **((wrong or {}) if index == 3 else {})})
            for index in range(count)
        ]
        head = f"<driver_version>{driver}</driver_version><cuda_version>{cuda}</cuda_version>"
        return (
            '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">\n<nvidia_smi_log>'
            f"{head}<attached_gpus>{attached or count}</attached_gpus>{''.join(gpus)}</nvidia_smi_log>"
        )

    return make


@pytest.fixture(scope="session")
def output(module):
    """Make what a tool printed; with `why`, what it did not."""
    return lambda text="", why="": module("deploykit_finding").Output("tool", text, why)


@pytest.fixture(scope="session")
def xid_table(playbooks):
    """The role's table of Xids."""
    return yaml.safe_load((playbooks / "roles/preflight/vars/main.yml").read_text())["_preflight_xids"]
