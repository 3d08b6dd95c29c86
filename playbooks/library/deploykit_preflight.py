#!/usr/bin/python
"""Look at a host without changing it: every finding at once, with what was found, what is needed, and the mend."""

DOCUMENTATION = r"""
module: deploykit_preflight
short_description: Check what a deployment needs of a host
description: Runs every check, and fails with all that is wrong. A check that could not be made is unknown, never a pass.
options:
  runtime: {type: str, required: true, choices: [cpu, cuda]}
  root: {type: path, required: true}
  ports: {type: list, elements: int, default: []}
  weights_gb: {type: float, default: 0}
  runtime_gb: {type: float, default: 0}
  ram_gb: {type: float}
  gpu_count: {type: int, default: 0}
  gpu_name: {type: str}
  min_driver: {type: str}
  uv: {type: path}
  engine: {type: path, description: The engine environment; one that is complete needs no room.}
"""

import os
import platform
import re
import shutil
import subprocess
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import is_ours, listeners

GB = 1e9
MACHINES = ("x86_64", "aarch64")
NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]


def finding(check, status, found, needed, mend=""):
    """Return one finding; `status` is pass, warn, fail, unknown or skip."""
    return {"check": check, "status": status, "found": found, "needed": needed, "mend": mend}


def system(name, machine, libc):
    """Check the operating system, the machine's kind and its C library (the engine's wheels need glibc 2.28)."""
    found = "{0} on {1}{2}".format(name, machine, ", {0} {1}".format(*libc) if libc[0] else "")
    needed = "Linux with glibc 2.28 or newer on {0}".format(" or ".join(MACHINES))
    right = name == "Linux" and machine in MACHINES and libc[0] == "glibc"
    new_enough = right and [int(part) for part in re.findall(r"\d+", libc[1])[:2]] >= [2, 28]
    mend = "use a machine of that kind; `deploykit up --dry-run` works anywhere"
    return finding("system", "pass" if new_enough else "fail", found, needed, "" if new_enough else mend)


def python(version):
    """Check the Python that runs the modules."""
    found = ".".join(str(part) for part in version[:3])
    good = tuple(version[:2]) >= (3, 8)
    return finding(
        "python", "pass" if good else "fail", found, "3.8 or newer", "" if good else "install a newer python3"
    )


def space(needs, free_of, device_of, mend):
    """Check disk space. Needs are (what, path, GB); those on one file system are added up."""
    devices = {}
    for what, path, needed in needs:
        if needed > 0:
            devices.setdefault(device_of(path), []).append((what, path, needed))
    found = []
    for wanted in devices.values():
        path, needed = wanted[0][1], sum(gb for _, _, gb in wanted)
        free = free_of(path) / GB
        parts = " and ".join("{0:.1f} GB for {1}".format(gb, what) for what, _, gb in wanted)
        status = "pass" if free >= needed else "fail"
        found.append(
            finding(
                "disk", status, "{0:.1f} GB free at {1}".format(free, path), parts, "" if status == "pass" else mend
            )
        )
    return found


def memory(total_gb, needed_gb):
    """Check the RAM."""
    if needed_gb is None:
        return finding("ram", "skip", "{0:.1f} GB".format(total_gb), "the plan asks for no amount")
    good = total_gb >= needed_gb
    mend = "" if good else "use a machine with more RAM, or a smaller model"
    return finding("ram", "pass" if good else "fail", "{0:.1f} GB".format(total_gb), "{0:g} GB".format(needed_gb), mend)


def port(number, found, ours):
    """Check one port; `found` is its listener."""
    name, needed = "port {0}".format(number), "free, or this deployment's own"
    if found is None:
        return finding(name, "pass", "free", needed)
    if ours:
        return finding(name, "pass", "ours (pid {0})".format(found["pid"]), needed)
    who = "pid {0}: {1}".format(found["pid"], found["command"][:120]) if found["pid"] else "a process of another user"
    mend = "stop it{0}, or choose another port with `--port N`".format(
        " (`kill {0}`)".format(found["pid"]) if found["pid"] else ""
    )
    return finding(name, "fail", "taken by {0}".format(who), needed, mend)


def gpus(answer, count, name, min_driver):
    """Check GPUs by what nvidia-smi printed (None: it could not be run)."""
    wanted = "{0} x {1}".format(count, name or "GPU")
    if answer is None:
        mend = "install NVIDIA's driver {0}".format(min_driver or "").strip()
        return [finding("gpu", "fail", "nvidia-smi does not run", wanted, mend)]
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if line.strip()]
    if not rows or any(len(row) != 2 for row in rows):
        return [finding("gpu", "unknown", answer.strip()[:200] or "nothing", wanted, "run nvidia-smi by hand")]
    names = sorted({row[0] for row in rows})
    found = "{0} x {1}".format(len(rows), ", ".join(names))
    enough = len(rows) >= count
    kind = name is None or all(_same_gpu(name, other) for other in names)
    mend = "a GPU that fell off the bus needs a reboot; a machine of another kind needs another `--node`"
    checks = [finding("gpu", "pass" if enough and kind else "fail", found, wanted, "" if enough and kind else mend)]
    if min_driver:
        drivers = sorted({row[1] for row in rows})
        good = all(_numbers(driver) >= _numbers(min_driver) for driver in drivers)
        mend = "" if good else "install driver {0} or newer and reboot".format(min_driver)
        checks.append(
            finding("driver", "pass" if good else "fail", ", ".join(drivers), "{0} or newer".format(min_driver), mend)
        )
    return checks


def _same_gpu(wanted, found):
    """Compare by the model's own word: a profile's `NVIDIA H200 SXM 141GB` is nvidia-smi's `NVIDIA H200`."""
    words = [word for word in re.findall(r"[A-Za-z]*\d+[A-Za-z]*", wanted) if not re.match(r"\d+G[iB]?B?$", word)]
    return all(word.lower() in found.lower() for word in words)


def _numbers(version):
    return [int(part) for part in re.findall(r"\d+", version)]


def report(findings):
    """Return all that is wrong as one message."""
    wrong = [item for item in findings if item["status"] in ("fail", "unknown")]
    lines = ["{0} of {1} checks of this host did not pass:".format(len(wrong), len(findings))]
    for item in wrong:
        lines.append(
            "{0}: found {1}; needed: {2}. {3}".format(
                item["check"], item["found"], item["needed"], _sentence(item["mend"])
            )
        )
    return "\n".join(lines).strip()


def _sentence(text):
    return text[:1].upper() + text[1:] + "." if text else ""


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


def _ram_gb():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB


def _nvidia_smi():
    try:
        done = subprocess.run(NVIDIA_SMI, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def look(params):
    """Make every check."""
    root = params["root"]
    weights = params["weights_gb"] * 1.1
    if weights > 1:  # what is downloaded already needs no room again
        weights -= min(weights, _size_gb(os.path.join(root, "models")))
    installed = params["engine"] and os.path.isdir(params["engine"])
    needs = [
        ("the weights", _existing(os.path.join(root, "models")), weights),
        ("the engine", _existing(os.path.join(root, "engines")), 0 if installed else params["runtime_gb"]),
    ]
    mend = "free some space, or use another disk (DEPLOYKIT_DATA_DIR for a rehearsal)"
    findings = [
        system(platform.system(), platform.machine(), platform.libc_ver()),
        python(sys.version_info),
        memory(_ram_gb(), params["ram_gb"]),
    ]
    findings += space(needs, lambda path: shutil.disk_usage(path).free, lambda path: os.stat(path).st_dev, mend)
    for number in params["ports"]:
        found = listeners(number)
        foreign = [one for one in found if not is_ours(one, root)]
        findings.append(port(number, (foreign or found or [None])[0], ours=not foreign))
    if params["uv"]:
        there = os.access(params["uv"], os.X_OK)
        mend = "" if there else "install deploykit again: uv comes with it"
        findings.append(finding("uv", "pass" if there else "fail", "there" if there else "missing", params["uv"], mend))
    if params["runtime"] == "cuda":
        findings += gpus(_nvidia_smi(), params["gpu_count"], params["gpu_name"], params["min_driver"])
    else:
        findings.append(finding("gpu", "skip", "not looked for", "nothing: a rehearsal runs on the CPU"))
    return findings


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "runtime": {"type": "str", "required": True, "choices": ["cpu", "cuda"]},
            "root": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "int", "default": []},
            "weights_gb": {"type": "float", "default": 0},
            "runtime_gb": {"type": "float", "default": 0},
            "ram_gb": {"type": "float"},
            "gpu_count": {"type": "int", "default": 0},
            "gpu_name": {"type": "str"},
            "min_driver": {"type": "str"},
            "uv": {"type": "path"},
            "engine": {"type": "path"},
        },
        supports_check_mode=True,
    )
    findings = look(module.params)
    if any(item["status"] in ("fail", "unknown") for item in findings):
        module.fail_json(msg=report(findings), findings=findings)
    module.exit_json(changed=False, findings=findings, deploykit_result={"preflight": findings})


if __name__ == "__main__":
    main()
