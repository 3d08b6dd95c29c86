"""Checks of what connects nodes: InfiniBand or RoCE ports, GPUDirect, and an all-reduce. Outputs in, findings out."""

import re

from ansible.module_utils.deploykit_check_kernel import loaded
from ansible.module_utils.deploykit_finding import at_least, blocker, info, skipped, warning

DMA_BUF_KERNEL = "5.12"


def ibstat(text):
    """Return the ports of `ibstat`: {device, port, state, physical, rate, layer}."""
    ports, device = [], None
    for line in text.splitlines():
        head = re.match(r"\s*CA '([^']+)'", line)
        number = re.match(r"\s*Port ([0-9]{1,3}):\s*$", line)
        field = re.match(r"\s*(State|Physical state|Rate|Link layer):\s*(.*?)\s*$", line)
        if head:
            device = head.group(1)
        elif number and device:
            ports.append(
                {
                    "device": device,
                    "port": number.group(1),
                    "state": None,
                    "physical": None,
                    "rate": None,
                    "layer": None,
                }
            )
        elif field and ports and ports[-1]["device"] == device:
            key = {"State": "state", "Physical state": "physical", "Rate": "rate", "Link layer": "layer"}[
                field.group(1)
            ]
            ports[-1][key] = field.group(2)
    return ports


def rdma_link(text):
    """Return the ports of `rdma link`, in the form of `ibstat`; it tells neither rate nor layer."""
    found = re.findall(r"^(?:\d+: )?link ([^/\s]+)/(\d+) .*?state (\S+) physical_state (\S+)", text, re.MULTILINE)
    return [
        {"device": device, "port": port, "state": state.capitalize(), "physical": physical, "rate": None, "layer": None}
        for device, port, state, physical in found
    ]


def ports(spans, stat, link):
    """Check the RDMA ports of a node that shares engines with others."""
    if not spans:
        return [skipped("rdma", "no engine spans nodes")]
    found = ibstat(stat.text) or rdma_link(link.text)
    if not found:
        why = "; ".join(item for item in (stat.why, link.why) if item) or "no port is told"
        mend = "without RDMA the nodes talk over TCP, which is slow: install the adapters' drivers, or plan without"
        return [warning("rdma", why, mend)]
    up = [port for port in found if port["state"] == "Active"]
    down = [port for port in found if port["state"] != "Active"]
    said = "{0} of {1} ports active{2}".format(len(up), len(found), _rates(up))
    if not up:
        return [warning("rdma", said, "the nodes will talk over TCP: look at cables, switch and subnet manager")]
    missing = [
        "{0} is {1} ({2})".format(p["device"], p["state"], p["physical"]) for p in down if p["layer"] != "Ethernet"
    ]
    if missing:
        return [warning("rdma", "{0}: {1}".format(said, ", ".join(missing[:8])), "look at cables and switch ports")]
    return [info("rdma", said)]


def _rates(found):
    rates = sorted({port["rate"] for port in found if port["rate"]}, key=lambda rate: (len(rate), rate))
    return " at {0} Gbit/s".format(" and ".join(rates)) if rates else ""


def gpudirect(spans, modules, driver, kernel):
    """Check that adapters reach GPU memory: by nvidia_peermem, or by DMA-BUF with the open kernel modules.

    Args:
        spans: whether an engine spans several nodes.
        modules: /proc/modules.
        driver: /proc/driver/nvidia/version.
        kernel: the kernel's release.

    """
    if not spans:
        return skipped("gpudirect", "no engine spans nodes")
    if "nvidia_peermem" in loaded(modules):
        return info("gpudirect", "nvidia_peermem is loaded")
    if "Open Kernel Module" in driver.text and at_least(kernel, DMA_BUF_KERNEL):
        return info("gpudirect", "DMA-BUF: open kernel modules on Linux {0}".format(kernel))
    return warning(
        "gpudirect",
        "nvidia_peermem is not loaded, and DMA-BUF needs the open kernel modules",
        "`modprobe nvidia_peermem`, and name it in /etc/modules-load.d; else transfers go through host memory",
    )


def all_reduce(floor_gb_s, output):
    """Check the bus bandwidth that `all_reduce_perf` of nccl-tests reached at its largest size, in GB/s."""
    rates = [float(row[-1]) for row in _rows(output.text)]
    if not output.ran or not rates:
        return warning("all-reduce", "not measured: {0}".format(output.why or "no table"), "install nccl-tests")
    evidence = "{0:.0f} GB/s bus bandwidth at the largest size".format(rates[-1])
    if floor_gb_s is None:
        return skipped("all-reduce", evidence + "; the profile has no floor to hold it against")
    if rates[-1] < floor_gb_s:
        mend = "look at nvlink, topology, fabric state and NCCL's own log (NCCL_DEBUG=INFO)"
        return blocker("all-reduce", "{0}; the profile's floor is {1:g}".format(evidence, floor_gb_s), mend)
    return info("all-reduce", "{0}; the floor is {1:g}".format(evidence, floor_gb_s))


def _rows(text):
    """Return (size, out-of-place busbw) of each row: size count type redop root time algbw busbw #wrong ..."""
    number = r"([0-9]+(?:\.[0-9]+)?)"
    pattern = r"^\s*([0-9]+)\s+[0-9]+\s+\w+\s+\w+\s+-?[0-9]+\s+{0}\s+{0}\s+{0}\s".format(number)
    return re.findall(pattern, text, re.MULTILINE)
