"""What nvidia-smi and NVML say of a machine, as text that can be kept: serial numbers, UUIDs and addresses are taken out."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

COMMANDS = {
    "smi-q-x.xml": ["nvidia-smi", "-q", "-x"],
    "smi-query.csv": [
        "nvidia-smi",
        "--query-gpu=name,compute_cap,memory.total,driver_version,ecc.mode.current",
        "--format=csv",
    ],
    "smi-nvlink-s.txt": ["nvidia-smi", "nvlink", "-s"],
    "smi-topo-m.txt": ["nvidia-smi", "topo", "-m"],
    "smi-table.txt": ["nvidia-smi"],
}
"""What preflight asks, and the table people look at."""
_TIMEOUT_S = 30

# Each with what stands for it. XML first by its elements, then by the look of the value wherever it stands.
PRIVATE = (
    (re.compile(r"(<(serial|board_serial|uuid|minor_number|board_id|chassis_serial_number|gpu_fabric_guid|pdi)>)[^<]*(</\2>)"), r"\1N/A\3"),
    (re.compile(r"(<(?:[a-z_]*serial[a-z_]*|[a-z_]*uuid[a-z_]*|[a-z_]*guid[a-z_]*)>)[^<]*(?=</)"), r"\1N/A"),
    (re.compile(r"\b(?:GPU|MIG|NVL)-[0-9a-f]{8}-[0-9a-f-]+\b", re.IGNORECASE), "GPU-removed"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "removed"),
    (re.compile(r"((?:serial|uuid|guid)[^\n:]*:[ \t]*)\S[^\n]*", re.IGNORECASE), r"\1removed"),
    (re.compile(r"\b\d{12,14}\b(?![.\d])"), "removed"),
)  # fmt: skip


def without_names(text: str) -> str:
    """Return a text without what names this very card or board."""
    for form, instead in PRIVATE:
        text = form.sub(instead, text)
    return text


def records() -> dict[str, str]:
    """Return what each command printed, with its exit code above where that is not 0; nothing without nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return {}
    made = {}
    for name, words in COMMANDS.items():
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            made[name] = f"# {words[0]}: {type(error).__name__}\n"
            continue
        above = f"# exit code {ran.returncode}\n" if ran.returncode else ""
        made[name] = without_names(above + ran.stdout + ran.stderr)
    return made


def nvml() -> dict[str, Any]:
    """Return what NVML says where the product asks it: power, energy, memory; the error's text where it says nothing."""
    try:
        import pynvml  # noqa: PLC0415 - only where there is a driver

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        asked = {
            "name": pynvml.nvmlDeviceGetName,
            "power_w": lambda one: pynvml.nvmlDeviceGetPowerUsage(one) / 1000,
            "power_limit_w": lambda one: pynvml.nvmlDeviceGetEnforcedPowerLimit(one) / 1000,
            "energy_j": lambda one: pynvml.nvmlDeviceGetTotalEnergyConsumption(one) / 1000,
            "memory_bytes": lambda one: pynvml.nvmlDeviceGetMemoryInfo(one).total,
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    told: dict[str, Any] = {"driver": _told(lambda _: pynvml.nvmlSystemGetDriverVersion(), gpu)}
    return told | {name: _told(question, gpu) for name, question in asked.items()}


def _told(question: Callable[[Any], object], gpu: object) -> object:
    try:
        return question(gpu)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def host() -> dict[str, Any]:
    """Return what is known of the machine without naming it."""
    return {"python": platform.python_version(), "machine": platform.machine(), "kernel": platform.release()}
