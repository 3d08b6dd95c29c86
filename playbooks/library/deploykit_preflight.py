#!/usr/bin/python
"""Look at a host without changing it: every finding at once, each with its evidence and its mend."""

DOCUMENTATION = r"""
module: deploykit_preflight
short_description: Check what a deployment needs of a host
description:
  - Runs the tools, hands what they printed to the checks, and returns all findings; it does not fail because of one.
  - A check that could not be made says so, and is never a pass.
options:
  runtime: {type: str, required: true, choices: [cpu, cuda]}
  root: {type: path, required: true}
  systemd: {type: bool, default: false, description: Whether systemd keeps the engine up.}
  ports: {type: list, elements: int, default: []}
  weights_gb: {type: float, default: 0}
  runtime_gb: {type: float, default: 0}
  ram_gb: {type: float}
  ram_for: {type: str, default: the engine}
  spans_nodes: {type: bool, default: false, description: Whether an engine spans several nodes.}
  gpu_count: {type: int, default: 0}
  gpu_name: {type: str}
  capability: {type: float}
  drivers: {type: list, elements: dict, default: [], description: "Needs of {version, because}."}
  cuda: {type: str, description: CUDA that the engine brings.}
  fabric: {type: dict, default: {}, description: What connects the GPUs; null is unknown.}
  xids: {type: dict, default: {}}
  all_reduce: {type: str, description: "Path of nccl-tests' all_reduce_perf, to run it; it takes the GPUs for a minute."}
  root_uid: {type: str, description: "What `id -u` printed as root."}
  root_said: {type: str, description: "What came instead."}
  controller_time: {type: float}
  uv: {type: path}
  engine: {type: path, description: The engine environment; one that is complete needs no room.}
"""

import os
import platform
import resource
import shutil
import sys
import time

from ansible.module_utils import deploykit_check_fabric as fabric
from ansible.module_utils import deploykit_check_gpu as gpu
from ansible.module_utils import deploykit_check_host as host
from ansible.module_utils import deploykit_check_kernel as kernel
from ansible.module_utils import deploykit_check_network as network
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_finding import blocker, info, read_file, run_tool, skipped, summary
from ansible.module_utils.deploykit_gpus import inventory
from ansible.module_utils.deploykit_host import is_ours, listeners, process

GB = 1e9
STATE = ("systemctl", "show", "--property=LoadState,ActiveState,SubState")
CHANNEL = "/dev/nvidia-caps-imex-channels/channel0"
GPU_CHECKS = "GPUs, driver, NVLink, Xids and RDMA"


def look(params):
    """Make every check."""
    findings = about_host(params)
    if params["runtime"] == "cuda":
        return findings + about_gpus(params)
    return [*findings, skipped("gpu", GPU_CHECKS + " are not looked at: a rehearsal runs on the CPU")]


def about_host(params):
    """Return what any host is asked for."""
    root, by_systemd = params["root"], params["systemd"]
    findings = [
        host.system(platform.system(), platform.machine(), platform.libc_ver()),
        host.release(read_file("/etc/os-release").text),
        host.python(sys.version_info),
        host.sudo(by_systemd, params["root_uid"], params["root_said"] or ""),
        host.systemd(by_systemd, run_tool("systemctl", "is-system-running")),
        *host.clock(run_tool("timedatectl", "show"), time.time(), params["controller_time"]),
        host.memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB, params["ram_gb"], params["ram_for"]),
        *_space(params),
    ]
    for number in params["ports"]:
        found = listeners(number)
        foreign = [one for one in found if not is_ours(one, root)]
        findings.append(host.port(number, (foreign or found or [None])[0], ours=not foreign))
    if params["uv"]:
        there = os.access(params["uv"], os.X_OK)
        missing = blocker("uv", "{0} is missing".format(params["uv"]), "install deploykit again: uv comes with it")
        findings.append(info("uv", params["uv"]) if there else missing)
    findings.append(host.limits(_limit(resource.RLIMIT_NOFILE), _limit(resource.RLIMIT_MEMLOCK), by_systemd))
    shm = shutil.disk_usage("/dev/shm").total / GB if os.path.isdir("/dev/shm") else None  # noqa: S108 - not a place for files of ours
    findings.append(host.shared_memory(shm, params["gpu_count"] > 1))
    return findings


def _space(params):
    root, weights = params["root"], params["weights_gb"] * 1.1
    if weights > 1:  # what is downloaded already needs no room again
        weights -= min(weights, _size_gb(os.path.join(root, "models")))
    installed = params["engine"] and os.path.isdir(params["engine"])
    needs = [
        ("the weights", _existing(os.path.join(root, "models")), weights),
        ("the engine", _existing(os.path.join(root, "engines")), 0 if installed else params["runtime_gb"]),
    ]
    mend = "free some space, or {0}".format(
        "mount a larger disk there" if params["systemd"] else "set DEPLOYKIT_DATA_DIR"
    )
    return host.space(needs, lambda path: shutil.disk_usage(path).free, lambda path: os.stat(path).st_dev, mend)


def about_gpus(params):
    """Return what a host with GPUs is asked for. Nothing is run twice, and what hangs is told after its time."""
    asked, several = params["fabric"], params["spans_nodes"]
    query = run_tool("nvidia-smi", "-q", "-x")
    caps = run_tool("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    modules = read_file("/proc/modules")
    module = read_file("/proc/driver/nvidia/version")
    version = (inventory(query.text) or {}).get("driver")
    manager, links = asked.get("fabric_manager"), asked.get("nvlinks_per_gpu")
    joined = [value for value in (manager, asked.get("imex")) if value is not None]
    findings = [
        kernel.nouveau(modules),
        *gpu.gpus(query, caps, params, lambda pid: _ours(pid, params["root"])),
        *kernel.xids(run_tool("journalctl", "-k", "-b", "--no-pager", "-o", "short-iso"), params["xids"]),
        *fabric.fabric_manager(
            manager,
            run_tool(*STATE, fabric.SERVICE),
            run_tool("nv-fabricmanager", "--version"),
            run_tool("journalctl", "-b", "-u", fabric.SERVICE, "-n", "200", "--no-pager", "-o", "cat"),
            version,
        ),
        fabric.fabric_state(any(joined) if joined else None, query),
        fabric.subnet_manager(asked.get("subnet_manager"), modules),
        fabric.nvlink(links, run_tool("nvidia-smi", "nvlink", "-s")),
        fabric.topology(links, run_tool("nvidia-smi", "topo", "-m")),
        *fabric.imex(
            asked.get("imex"), several, run_tool(*STATE, fabric.IMEX),
            run_tool("nvidia-imex-ctl", "-N"), os.path.exists(CHANNEL),
        ),
        *network.ports(several, run_tool("ibstat"), run_tool("rdma", "link")),
        network.gpudirect(several, modules, module, platform.release()),
    ]  # fmt: skip
    if not params["all_reduce"]:
        why = "not asked for: it takes the GPUs for a minute (`preflight_all_reduce` names nccl-tests' all_reduce_perf)"
        return [*findings, skipped("all-reduce", why)]
    command = (params["all_reduce"], "-b", "1G", "-e", "8G", "-f", "2", "-g", str(params["gpu_count"]))
    return [*findings, network.all_reduce(asked.get("all_reduce_gb_s"), run_tool(*command, timeout_s=600))]


def _ours(pid, root):
    found = process(pid)
    return found is not None and is_ours(found, root)


def _limit(kind):
    hard = resource.getrlimit(kind)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _existing(path):
    """Return the nearest folder that exists: what is not there yet will be on its disk."""
    while path and not os.path.isdir(path):
        path = os.path.dirname(path)
    return path or "/"


def _size_gb(folder):
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total / GB


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "runtime": {"type": "str", "required": True, "choices": ["cpu", "cuda"]},
            "root": {"type": "path", "required": True},
            "systemd": {"type": "bool", "default": False},
            "ports": {"type": "list", "elements": "int", "default": []},
            "weights_gb": {"type": "float", "default": 0},
            "runtime_gb": {"type": "float", "default": 0},
            "ram_gb": {"type": "float"},
            "ram_for": {"type": "str", "default": "the engine"},
            "spans_nodes": {"type": "bool", "default": False},
            "gpu_count": {"type": "int", "default": 0},
            "gpu_name": {"type": "str"},
            "capability": {"type": "float"},
            "drivers": {"type": "list", "elements": "dict", "default": []},
            "cuda": {"type": "str"},
            "fabric": {"type": "dict", "default": {}},
            "xids": {"type": "dict", "default": {}},
            "all_reduce": {"type": "str"},
            "root_uid": {"type": "str"},
            "root_said": {"type": "str"},
            "controller_time": {"type": "float"},
            "uv": {"type": "path"},
            "engine": {"type": "path"},
        },
        supports_check_mode=True,
    )
    findings = look(module.params)
    module.exit_json(
        changed=False,
        blockers=sum(item["severity"] == "blocker" for item in findings),
        summary=summary(findings),
        deploykit_result={"preflight": findings},
    )


if __name__ == "__main__":
    main()
