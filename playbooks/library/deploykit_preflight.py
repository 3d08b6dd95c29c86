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
  ports: {type: list, elements: dict, default: [], description: "Each with port, listener, and otherwise, replaces and welcome, which may be null."}
  weights_gb: {type: float, default: 0, description: The weights' size where their files are not known.}
  weights: {type: dict, description: "Their files, as deploykit.lock has them."}
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
  packages: {type: list, elements: str, default: [], description: The distribution's packages that are needed.}
  engine_python: {type: str, description: The Python version that the environment is made with.}
  offline: {type: bool, default: false, description: Whether the engine is installed from a bundle.}
  python_carried: {type: bool, default: false, description: Whether the bundle has a Python.}
  image: {type: str, description: The image that podman runs; none for an engine in an environment.}
"""

import os
import platform
import resource
import shutil
import sys
import time

from ansible.module_utils import deploykit_check_container as container
from ansible.module_utils import deploykit_check_fabric as fabric
from ansible.module_utils import deploykit_check_gpu as gpu
from ansible.module_utils import deploykit_check_host as host
from ansible.module_utils import deploykit_check_kernel as kernel
from ansible.module_utils import deploykit_check_network as network
from ansible.module_utils import deploykit_debian as debian
from ansible.module_utils import deploykit_weights as weights
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
    if params["image"]:
        findings += about_container(params)
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
    if params["engine_python"] and not (params["engine"] and os.path.isdir(params["engine"])):
        version, mine = params["engine_python"], "{0}.{1}".format(*sys.version_info[:2])
        program = shutil.which("python" + version) or (sys.executable if mine == version else None)
        findings.append(host.engine_python(version, program, params["offline"], params["python_carried"]))
    if params["packages"]:
        findings.append(_packages(params["packages"]))
    for wanted in params["ports"]:
        found = listeners(wanted["port"])
        foreign = [one for one in found if not is_ours(one, root)]
        findings.append(host.port(wanted, (foreign or found or [None])[0], ours=not foreign))
    if params["uv"]:
        there = os.access(params["uv"], os.X_OK)
        missing = blocker("uv", "{0} is missing".format(params["uv"]), "install deploykit again: uv comes with it")
        findings.append(info("uv", params["uv"]) if there else missing)
    findings.append(host.limits(_limit(resource.RLIMIT_NOFILE), _limit(resource.RLIMIT_MEMLOCK), by_systemd))
    shm = shutil.disk_usage("/dev/shm").total / GB if os.path.isdir("/dev/shm") else None  # noqa: S108 - not a place for files of ours
    findings.append(host.shared_memory(shm, params["gpu_count"] > 1))
    return findings


def _packages(wanted):
    """Look whether packages are there or can be had; a source is asked only if one is missing."""
    try:
        lacking = debian.missing(wanted)
        fresh = not lacking or debian.lists_are_fresh()
        unknown = debian.unknown(lacking) if lacking and fresh else []
        why_not = debian.out_of_reach() if lacking else None
    except OSError as error:
        why = "{0} needed; there is no {1} to look with".format(", ".join(wanted), error.filename)
        return skipped("packages", why)
    return host.packages(wanted, lacking, unknown, why_not)


def _space(params):
    root = params["root"]
    installed = params["engine"] and os.path.isdir(params["engine"])
    models, engines = (weights.existing(os.path.join(root, name)) for name in ("models", "engines"))
    image, engine = params["image"], ("the engine", engines)
    if image:
        engine, installed = ("the image", container.STORAGE), run_tool("podman", "image", "exists", image).ran
    needs = [
        (weights.WEIGHTS, models, _weights_bytes(params, models)),
        (engine[0], weights.existing(engine[1]), 0 if installed else params["runtime_gb"] * GB),
    ]
    mend = weights.MORE_ROOM if params["systemd"] else "free some space, or set DEPLOYKIT_DATA_DIR"
    return host.space(needs, lambda path: shutil.disk_usage(path).free, lambda path: os.stat(path).st_dev, mend)


def _weights_bytes(params, models):
    """Return what the weights still need: of locked files what is not there, as the role counts it; else an estimate."""
    root = params["root"]
    if params["weights"]:
        wanted = 0
        for one in weights.located(params["weights"], root):
            wanted += weights.bytes_wanted(one, weights.unverified(one, weights.read_manifest(one["folder"])))
        return weights.needed(models, wanted)
    estimate = params["weights_gb"] * 1.1
    if estimate > 1:  # what is downloaded already needs no room again
        estimate -= min(estimate, _size_gb(os.path.join(root, "models")))
    return estimate * GB


def about_container(params):
    """Return what an engine in a container is asked for."""
    apt = run_tool("apt-cache", "policy", "podman")
    return [
        container.podman(run_tool("podman", "--version"), apt),
        container.init(any(map(os.path.exists, container.INIT)), apt),
        container.cgroups(os.path.exists(container.CGROUPS)),
        container.toolkit(run_tool("nvidia-ctk", "--version")),
        container.devices(
            run_tool("nvidia-ctk", "cdi", "list"), params["gpu_count"], container.specification()[1],
            read_file(container.DRIVER).text.strip(),
        ),
        container.image(params["image"], there=run_tool("podman", "image", "exists", params["image"]).ran),
    ]  # fmt: skip


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
            "ports": {"type": "list", "elements": "dict", "default": []},
            "weights_gb": {"type": "float", "default": 0},
            "weights": {"type": "dict"},
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
            "packages": {"type": "list", "elements": "str", "default": []},
            "engine_python": {"type": "str"},
            "offline": {"type": "bool", "default": False},
            "python_carried": {"type": "bool", "default": False},
            "image": {"type": "str"},
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
