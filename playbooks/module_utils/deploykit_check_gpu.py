"""Checks of the GPUs and their driver. What nvidia-smi said and what the profiles ask for in, findings out."""

import re

from ansible.module_utils.deploykit_finding import at_least, blocker, info, named, numbers, skipped, warning
from ansible.module_utils.deploykit_gpus import capabilities, inventory

BUSY_MIB = 1024
NO_DRIVER = "install NVIDIA's driver{0} and reboot"
REPLACE = "reset the GPU (`nvidia-smi -r -i N`, nothing running) or reboot; if it comes back, have the GPU replaced"


def gpus(query, caps, needed, is_ours=lambda _pid: False):
    """Check all that `nvidia-smi -q -x` tells.

    Args:
        query: its Output.
        caps: the Output of `nvidia-smi --query-gpu=compute_cap`.
        needed: what the profiles ask for; None is unknown there, and not checked.
        is_ours: whether a process id is this deployment's own.

    """
    found = inventory(query.text)
    if found is None or not found["gpus"]:
        return [_unreadable(query, found, needed)]
    listed = found["gpus"]
    return [
        _count(listed, found["attached"], needed),
        *_model(listed, needed),
        _capability(caps, needed),
        *driver(found["driver"], found["cuda"], needed),
        *_ecc(listed),
        *_remapped(listed),
        *_recovery(listed),
        _all_are("persistence", listed, "persistence", "Enabled", "persistence mode", warning,
                 "`systemctl enable --now nvidia-persistenced`: else the first request after a pause waits for the GPUs"),
        _all_are("mig", listed, "mig", "Disabled", "MIG", blocker,
                 "a GPU cut into parts cannot hold a shard: `nvidia-smi -mig 0`, then reset the GPU"),
        _pcie(listed),
        _busy(listed, is_ours),
    ]  # fmt: skip


def _unreadable(query, found, needed):
    """Return the one finding there is when nvidia-smi told of no GPU."""
    said = query.text + query.why
    newest = max([item["version"] for item in needed["drivers"]], key=numbers, default="")
    install = NO_DRIVER.format(" {0} or newer".format(newest) if newest else "")
    if "version mismatch" in said:
        return blocker("gpu", query.why, "the kernel still has the old driver's module: reboot")
    if "couldn't communicate" in said:
        return blocker("gpu", query.why, "the driver's kernel module is not loaded: look at `dmesg`, " + install)
    if not query.ran:
        return blocker("gpu", query.why, install)
    if found is not None:
        return blocker("gpu", "nvidia-smi knows no GPU", "look at `lspci -d 10de:` and `dmesg`; reboot")
    return blocker("gpu", "what nvidia-smi printed cannot be read", "run `nvidia-smi -q -x` by hand")


def _count(listed, attached, needed):
    wanted = needed["gpu_count"]
    evidence = "{0} of {1} GPUs".format(len(listed), wanted)
    if attached is not None and attached != len(listed):
        evidence += " ({0} attached)".format(attached)
    if len(listed) < wanted:
        return blocker(
            "gpu count", evidence, "a GPU that fell off the bus: look at `dmesg`, power the machine off and on"
        )
    return info("gpu count", evidence)


def _model(listed, needed):
    wanted = needed["gpu_name"]
    names = sorted({gpu["name"] or "unknown" for gpu in listed})
    if wanted is None:
        return [skipped("gpu model", "{0}; the profile names none".format(", ".join(names)))]
    others = [gpu["index"] for gpu in listed if not same_gpu(wanted, gpu["name"] or "")]
    if others:
        evidence = "{0}: {1}; planned for {2}".format(named(others), ", ".join(names), wanted)
        return [blocker("gpu model", evidence, "plan for this machine: another `--node` of `deploykit nodes`")]
    return [info("gpu model", ", ".join(names))]


def same_gpu(wanted, found):
    """Compare by the model's own words: a profile's `H200 SXM 141GB` is nvidia-smi's `NVIDIA H200`, and no `GH200`."""
    words = [word for word in re.findall(r"[A-Za-z]+[0-9]+[A-Za-z]*", wanted) if not re.match(r"\d+G[iB]?B?$", word)]
    known = {word.lower() for word in re.findall(r"[A-Za-z0-9]+", found)}
    return bool(known) and all(word.lower() in known for word in words)


def _capability(caps, needed):
    wanted = needed["capability"]
    found = capabilities(caps.text) if caps.ran else None
    if wanted is None or found is None:
        return skipped("compute capability", caps.why or "not told, or not known to the profile")
    evidence = "{0}; planned for {1}".format(", ".join(str(value) for value in sorted(set(found))), wanted)
    if any(value != wanted for value in found):
        return blocker("compute capability", evidence, "the plan's kernels are for other GPUs: plan for this machine")
    return info("compute capability", evidence)


def driver(version, cuda, needed):
    """Check the driver's version and the newest CUDA it can run against each need."""
    if version is None:
        return [skipped("driver", "nvidia-smi does not tell its version")]
    old = [item for item in needed["drivers"] if not at_least(version, item["version"])]
    found = [
        blocker("driver", "{0}; {1} needs {2} or newer".format(version, item["because"], item["version"]),
                "install driver {0} or newer and reboot".format(item["version"]))
        for item in old
    ]  # fmt: skip
    if not found:
        known = ", ".join("{0} needs {1}".format(item["because"], item["version"]) for item in needed["drivers"])
        found = [info("driver", version + "; " + known)] if known else [
            skipped("driver", version + "; the profiles ask for none")
        ]  # fmt: skip
    if needed["cuda"] is None:
        return [*found, skipped("cuda", "the engine's profile does not say which CUDA it brings")]
    if cuda is None:
        mend = "the driver's CUDA library is missing: install the whole driver (libcuda.so.1)"
        return [*found, blocker("cuda", "nvidia-smi names no CUDA version", mend)]
    evidence = "the driver runs CUDA {0}; the engine brings {1}".format(cuda, needed["cuda"])
    if numbers(cuda)[:1] < numbers(needed["cuda"])[:1]:
        return [*found, blocker("cuda", evidence, "install a newer driver and reboot")]
    return [*found, info("cuda", evidence)]


def _ecc(listed):
    found = []
    bad = [gpu["index"] for gpu in listed if gpu["uncorrected"]]
    if bad:
        counts = "; ".join("GPU {0}: {1}".format(g["index"], g["uncorrected"]) for g in listed if g["uncorrected"])
        found.append(
            blocker("ecc", "uncorrected memory errors since the driver was loaded: {0}".format(counts), REPLACE)
        )
    worn = [gpu["index"] for gpu in listed if gpu["threshold"] == "Yes"]
    if worn:
        found.append(blocker("ecc", "{0}: more SRAM errors than allowed".format(named(worn)), "have the GPU replaced"))
    off = [gpu["index"] for gpu in listed if gpu["ecc"] == "Disabled"]
    if off:
        found.append(warning("ecc", "{0}: ECC is off".format(named(off)), "`nvidia-smi -e 1`, then reset the GPU"))
    silent = [
        gpu["index"] for gpu in listed if gpu["ecc"] is None or (gpu["ecc"] == "Enabled" and gpu["uncorrected"] is None)
    ]
    if silent:
        evidence = "{0}: nvidia-smi cannot tell of ECC".format(named(silent))
        found.append(warning("ecc", evidence, "a GPU that does not answer has often just failed: look at `dmesg`"))
    return found or [info("ecc", "on, no uncorrected error")]


def _remapped(listed):
    found = []
    failed = [gpu["index"] for gpu in listed if gpu["remap_failure"] == "Yes"]
    if failed:
        found.append(
            blocker(
                "row remap",
                "{0}: a bad memory row could not be replaced".format(named(failed)),
                "have the GPU replaced",
            )
        )
    pending = [gpu["index"] for gpu in listed if gpu["remap_pending"] == "Yes" and gpu["index"] not in failed]
    if pending:
        evidence = "{0}: a bad memory row waits to be replaced".format(named(pending))
        found.append(blocker("row remap", evidence, "reset the GPU (`nvidia-smi -r -i N`, nothing running) or reboot"))
    if found:
        return found
    silent = [gpu["index"] for gpu in listed if gpu["remap_failure"] is None]
    if silent:
        return [skipped("row remap", "{0}: nvidia-smi tells nothing of it".format(named(silent)))]
    return [info("row remap", "none pending, none failed")]


def _recovery(listed):
    """Report what the driver itself asks for; older drivers do not have the field."""
    asked = [g for g in listed if g["recovery"] not in (None, "None") or g["reset_required"] == "Yes"]
    return [
        blocker("recovery", "GPU {0}: the driver asks for `{1}`".format(g["index"], g["recovery"] or "Reset"), REPLACE)
        for g in asked
    ]


def _all_are(check, listed, key, wanted, what, severity, mend):
    others = [gpu["index"] for gpu in listed if gpu[key] not in (None, wanted)]
    if others:
        state = next(gpu[key] for gpu in listed if gpu["index"] == others[0])
        return severity(check, "{0}: {1} is {2}".format(named(others), what, state.lower()), mend)
    if all(gpu[key] is None for gpu in listed):
        return skipped(check, "nvidia-smi tells nothing of {0}".format(what))
    return info(check, "{0} is {1}".format(what, wanted.lower()))


def _pcie(listed):
    narrow = []
    for gpu in listed:
        wanted = gpu["width_max"]
        if gpu["width"] is not None and wanted is not None and gpu["width"] < wanted:
            narrow.append("GPU {0}: x{1} of x{2}".format(gpu["index"], gpu["width"], wanted))
    if narrow:
        mend = "reseat the GPU or its riser; loading weights and host memory get slower (an idle link may also rest)"
        return warning("pcie", "; ".join(narrow), mend)
    if all(gpu["width"] is None for gpu in listed):
        return skipped("pcie", "nvidia-smi does not tell the link's width")
    return info("pcie", "x{0}".format(min(gpu["width"] for gpu in listed if gpu["width"] is not None)))


def _busy(listed, is_ours):
    """Look for processes of others that hold much of a GPU's memory."""
    strangers = [
        (gpu["index"], item)
        for gpu in listed
        for item in gpu["processes"]
        if (item["memory_mib"] or 0) >= BUSY_MIB and not (item["pid"] and is_ours(item["pid"]))
    ]
    if not strangers:
        return info("gpu use", "nobody else holds GPU memory")
    held = "; ".join(
        "GPU {0}: pid {1} ({2}) holds {3} MiB".format(index, item["pid"], item["name"][-60:], item["memory_mib"])
        for index, item in strangers[:8]
    )
    return blocker("gpu use", held, "stop them: the engine takes the memory it was planned with")
