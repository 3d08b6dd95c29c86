"""Loads the playbooks' modules as a host would see them: their shared code lies under `ansible.module_utils`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import ansible.module_utils  # noqa: F401 - the package our shared code is put into

SHARED = (
    "deploykit_keys", "deploykit_host", "deploykit_processes", "deploykit_supervisord", "deploykit_logs", "deploykit_progress", "deploykit_releases", "deploykit_weights", "deploykit_finding", "deploykit_debian", "deploykit_gpus",
    "deploykit_check_host", "deploykit_check_gpu", "deploykit_check_fabric", "deploykit_check_kernel",
    "deploykit_check_network", "deploykit_check_engine", "deploykit_check_container",
)  # fmt: skip
"""In the order they import each other."""

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def load(name: str) -> ModuleType:
    """Import `library/<name>.py` or `module_utils/<name>.py`."""
    for shared in SHARED:
        _import(f"ansible.module_utils.{shared}", PLAYBOOKS / "module_utils" / f"{shared}.py")
    if (PLAYBOOKS / "library" / f"{name}.py").exists():
        return _import(f"deploykit_playbooks.{name}", PLAYBOOKS / "library" / f"{name}.py")
    return sys.modules[f"ansible.module_utils.{name}"]


def _import(name: str, path: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    package, _, stem = name.rpartition(".")
    if package == "ansible.module_utils":  # `from ansible.module_utils import deploykit_...`
        setattr(sys.modules[package], stem, module)
    return module
