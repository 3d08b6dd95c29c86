"""Checks of what connects the GPUs: Fabric Manager, fabric state, NVLink, topology, IMEX. Outputs in, findings out."""

import re

from ansible.module_utils.deploykit_finding import blocker, info, last_line, named, properties, skipped, warning
from ansible.module_utils.deploykit_gpus import connections, inventory, links

SERVICE = "nvidia-fabricmanager"
IMEX = "nvidia-imex"


def fabric_manager(needed, show, version, journal, driver):
    """Check that Fabric Manager runs and is of the driver's very version.

    Args:
        needed: true or false by the node's profile, None if it is not known.
        show: `systemctl show -p LoadState,ActiveState,SubState nvidia-fabricmanager`.
        version: `nv-fabricmanager --version`.
        journal: the last lines of its journal.
        driver: the driver's version, or None.

    """
    check = "fabric manager"
    state = properties(show.text)
    if needed is None:
        return [skipped(check, "the profile does not say whether this machine has NVSwitches of its own")]
    if not needed:
        if state.get("ActiveState") in ("active", "failed"):
            evidence = "{0} is {1}, and this machine has no NVSwitch of its own".format(SERVICE, state["ActiveState"])
            return [warning(check, evidence, "`systemctl disable --now {0}`".format(SERVICE))]
        return [skipped(check, "not for this kind of machine")]
    if not show.ran and not state:
        return [warning(check, "not checked: {0}".format(show.why), "look whether {0} runs".format(SERVICE))]
    package = "install {0} {1}".format(SERVICE, driver or "of the driver's version")
    if state.get("LoadState") != "loaded":
        return [blocker(check, "{0} is not installed; without it CUDA fails with error 802".format(SERVICE), package)]
    return [_manager_state(state, journal, package), _manager_version(version, driver, package)]


def _manager_state(state, journal, package):
    if state.get("ActiveState") == "active":
        return info("fabric manager", "active")
    said = _why_not(journal.text)
    evidence = "{0} is {1}{2}".format(SERVICE, state.get("ActiveState"), ": " + said if said else "")
    mend = "`systemctl enable --now {0}`, and look at its journal".format(SERVICE)
    if "match" in said:
        mend = package
    elif "NV_WARN_NOTHING_TO_DO" in said:
        mend = "it sees no NVSwitch: where the NVLink subnet manager is needed, install nvlsm and load ib_umad"
    return blocker("fabric manager", evidence, mend)


def _manager_version(version, driver, package):
    check = "fabric manager version"
    own = re.search(r"[0-9]+\.[0-9]+(\.[0-9]+)?", version.text) if version.ran else None
    if own is None or driver is None:
        return skipped(check, version.why or "not told")
    if own.group(0) != driver:
        return blocker(check, "{0}, and the driver is {1}: they must be one".format(own.group(0), driver), package)
    return info(check, "{0}, as the driver".format(driver))


def _why_not(journal):
    """Return the line of the journal that says why Fabric Manager ended: the cause if it is told, else the last failure."""
    for pattern in (r"don't match", r"NV_WARN", r"failed|error"):
        lines = [line for line in journal.splitlines() if re.search(pattern, line, re.IGNORECASE)]
        if lines:
            return last_line(lines[-1])
    return ""


def fabric_state(needed, query):
    """Check that every GPU has joined the NVLink fabric; `query` is `nvidia-smi -q -x`."""
    check = "fabric state"
    if not needed:
        return skipped(check, "not known to the profile" if needed is None else "this machine has no NVLink fabric")
    listed = (inventory(query.text) or {"gpus": []})["gpus"]
    if not listed:
        return skipped(check, "nvidia-smi told of no GPU")
    if all(gpu["fabric_state"] is None for gpu in listed):
        return skipped(check, "this driver does not tell it")
    out = [gpu for gpu in listed if (gpu["fabric_state"], gpu["fabric_status"]) != ("Completed", "Success")]
    if out:
        said = sorted({"{0}, {1}".format(gpu["fabric_state"], gpu["fabric_status"] or "N/A") for gpu in out})
        evidence = "{0}: {1}".format(named([gpu["index"] for gpu in out]), "; ".join(said))
        mend = "restart {0} with nothing running and wait for `Completed`; if it stays, reset the GPUs".format(SERVICE)
        return blocker(check, evidence, mend)
    ill = [gpu["index"] for gpu in listed if (gpu["fabric_health"] or "Healthy") not in ("Healthy", "Not Supported")]
    if ill:
        return warning(
            check, "{0}: the fabric's health is not good".format(named(ill)), "look at `nvidia-smi -q`, Fabric"
        )
    return info(check, "completed on all")


def subnet_manager(needed, modules):
    """Check the kernel module that the NVLink subnet manager of newer NVSwitches needs; `modules` is /proc/modules."""
    check = "nvlink subnet manager"
    if not needed:
        return skipped(check, "not known to the profile" if needed is None else "not for this kind of machine")
    loaded = {line.split()[0] for line in modules.text.splitlines() if line.strip()}
    if not modules.ran:
        return skipped(check, modules.why)
    if "ib_umad" not in loaded:
        mend = "`modprobe ib_umad` and in /etc/modules-load.d; install nvlsm; restart {0}".format(SERVICE)
        return warning(check, "the module ib_umad is not loaded, so Fabric Manager cannot start", mend)
    return info(check, "ib_umad is loaded")


def nvlink(expected, output):
    """Check `nvidia-smi nvlink -s`; `expected` is the profile's number of links per GPU, None if it is not known."""
    if expected is None:
        return skipped("nvlink", "the profile does not say how many links a GPU has")
    if expected == 0:
        return skipped("nvlink", "these GPUs have no NVLink")
    if output.why.endswith("is not installed"):
        return skipped("nvlink", output.why)
    found = links(output.text)
    if found is None:
        return blocker("nvlink", output.why or "nvidia-smi tells of no link", "look at `nvidia-smi nvlink -s`")
    wrong = [
        "GPU {0}: {1} of {2} up".format(gpu, up, expected) for gpu, (up, _) in sorted(found.items()) if up < expected
    ]
    if wrong:
        return blocker("nvlink", "; ".join(wrong), "reset the GPUs or reboot; if it stays, reseat the GPU or its board")
    return info("nvlink", "{0} links up on each of {1} GPUs".format(expected, len(found)))


def topology(expected, output):
    """Check `nvidia-smi topo -m`: with NVLink on the board, every two GPUs talk over it."""
    if not expected:
        return skipped("topology", "no NVLink known to the profile")
    found = connections(output.text)
    if found is None:
        return skipped("topology", output.why or "one GPU alone, or a table that cannot be read")
    other = sorted({tuple(sorted(pair)): how for pair, how in found.items() if not how.startswith("NV")}.items())
    if other:
        shown = ", ".join("{0}-{1} {2}".format(one, two, how) for (one, two), how in other[:8])
        evidence = "{0} pairs of GPUs talk past NVLink: {1}".format(len(other), shown)
        return blocker("topology", evidence, "one GPU's links are down: look at `nvlink`; reset it or reboot")
    return info("topology", "NVLink between all GPUs")


def imex(needed, spans, show, domain, channel):
    """Check IMEX, by which trays share memory over NVLink; it matters for engines over several of them.

    Args:
        needed: by the node's profile, None if it is not known.
        spans: whether an engine spans several nodes.
        show: `systemctl show` of nvidia-imex.
        domain: `nvidia-imex-ctl -N`.
        channel: whether /dev/nvidia-caps-imex-channels/channel0 is there.

    """
    if not needed:
        return [skipped("imex", "not known to the profile" if needed is None else "not for this kind of machine")]
    if not spans:
        return [skipped("imex", "no engine spans nodes")]
    state = properties(show.text)
    if state.get("ActiveState") != "active":
        evidence = "{0} is {1}".format(IMEX, state.get("ActiveState") or show.why or "unknown")
        mend = "list the trays in /etc/nvidia-imex/nodes_config.cfg, then `systemctl enable --now {0}`".format(IMEX)
        return [blocker("imex", evidence, mend)]
    found = [_domain(domain)]
    if not channel:
        mend = "load the driver with NVreg_CreateImexChannel0=1, or make the device by hand"
        found.append(blocker("imex channel", "there is no /dev/nvidia-caps-imex-channels/channel0", mend))
    return found


def _domain(output):
    state = re.search(r"Domain State:\s*(\w+)", output.text)
    nodes = re.findall(r"^Node #(\d+)\s+-\s+(\S+)\s+-\s+(\w+)", output.text, re.MULTILINE)
    if state is None or not nodes:
        return warning(
            "imex", "not checked: {0}".format(output.why or "no domain told"), "look at `nvidia-imex-ctl -N`"
        )
    away = ["{0} ({1})".format(address, status) for _, address, status in nodes if status != "READY"]
    cells = [cell for line in output.text.splitlines() for cell in _cells(line.split())]
    broken = sum(cell != "C" for cell in cells)
    if away or broken or state.group(1) != "UP":
        parts = ["domain {0}".format(state.group(1))]
        parts += ["not ready: {0}".format(", ".join(away))] if away else []
        parts += ["{0} of {1} connections not up".format(broken, len(cells))] if broken else []
        mend = "the same nodes_config.cfg and version on every tray, then restart {0} on all".format(IMEX)
        return blocker("imex", "; ".join(parts), mend)
    return info("imex", "domain UP, {0} nodes ready".format(len(nodes)))


def _cells(words):
    """Return the states in a row of the connectivity table: a node's number, then one or three letters per node."""
    is_row = len(words) > 1 and re.match(r"[0-9]+$", words[0]) and all(re.match(r"!?[A-Z]!?$", w) for w in words[1:])
    return words[1:] if is_row else []
