"""Checks of the kernel: Xids in its log, its modules. Text and the table of Xids in, findings out."""

import re

from ansible.module_utils.deploykit_finding import blocker, info, skipped, warning

XID = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f:.]+)\):\s*([0-9]{1,5})\b,?\s*(.*)")
FALLEN = re.compile(r"NVRM:.*(fallen off the bus|probe routine failed)")
SHOWN = 3


def xids(output, table):
    """Check the kernel's log of this boot (`journalctl -k -b`).

    Args:
        output: the log's Output.
        table: by Xid as text, {says, severity (blocker, warning, info), mend}; an Xid that is not in it is a warning.

    """
    if not output.ran:
        return [skipped("xid", output.why)]
    seen = {}
    for line in output.text.splitlines():
        match = XID.search(line)
        if match:
            seen.setdefault(match.group(2), []).append((match.group(1), match.group(3)))
    found = [_one(xid, events, table.get(xid)) for xid, events in sorted(seen.items(), key=lambda item: int(item[0]))]
    lost = [line for line in output.text.splitlines() if FALLEN.search(line) and not XID.search(line)]
    if lost and "79" not in seen:
        mend = "power the machine off and on; if it comes back, have the GPU replaced"
        found.append(blocker("xid", lost[0][lost[0].index("NVRM:") :][:200], mend))
    return found or [info("xid", "none since the boot")]


def _one(xid, events, known):
    where = sorted({bus for bus, _ in events})
    detail = events[-1][1].strip()
    nonfatal = "Nonfatal" in detail and all("Nonfatal" in text for _, text in events)
    evidence = "Xid {0}{1}, {2} x on {3}{4}: {5}".format(
        xid, " (" + known["says"] + ")" if known else "", len(events), ", ".join(where[:SHOWN]),
        " and {0} more".format(len(where) - SHOWN) if len(where) > SHOWN else "", detail[:120],
    )  # fmt: skip
    if known is None:
        return warning("xid", evidence, "look it up in NVIDIA's catalogue of Xids")
    if known["severity"] == "info":
        return info("xid", evidence)
    make = blocker if known["severity"] == "blocker" and not nonfatal else warning
    return make("xid", evidence, known["mend"])


def loaded(output):
    """Return the names in /proc/modules."""
    return {line.split()[0] for line in output.text.splitlines() if line.strip()}


def nouveau(modules):
    """Check that the free driver does not hold the GPUs."""
    if not modules.ran:
        return skipped("nouveau", modules.why)
    if "nouveau" in loaded(modules) and "nvidia" not in loaded(modules):
        mend = "blacklist nouveau in /etc/modprobe.d, rebuild the initramfs and reboot"
        return blocker("nouveau", "nouveau is loaded and NVIDIA's driver is not", mend)
    return info("nouveau", "does not hold the GPUs")
