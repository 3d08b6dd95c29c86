"""Reads what nvidia-smi prints: the XML of `-q -x`, CSV of `--query-gpu`, `nvlink -s`, `topo -m`. Text in, data out.

What cannot be read is None, never a guess: a field that is missing, `N/A` or `Unknown Error`.
"""

import re
import xml.etree.ElementTree as ET

UNKNOWN = ("", "n/a", "[n/a]", "not supported", "[not supported]", "unknown error", "[unknown error]", "not found")


def inventory(text):
    """Return {driver, cuda, gpus} from `nvidia-smi -q -x`, or None if it is not that."""
    if "<!ENTITY" in text or "<nvidia_smi_log" not in text:
        return None
    try:
        root = ET.fromstring(text[text.index("<") :].strip())  # noqa: S314 - see above
    except (ET.ParseError, ValueError):
        return None
    if root.tag != "nvidia_smi_log":
        return None
    gpus = [_gpu(index, gpu) for index, gpu in enumerate(root.findall("gpu"))]
    return {
        "driver": known(root.findtext("driver_version")),
        "cuda": known(root.findtext("cuda_version")),
        "attached": number(root.findtext("attached_gpus")),
        "gpus": gpus,
    }


def _gpu(index, gpu):
    def text(path):
        return known(gpu.findtext(path))

    return {
        "index": index,
        "bus": known(gpu.get("id")),
        "name": text("product_name"),
        "memory_mib": number(text("fb_memory_usage/total")),
        "persistence": text("persistence_mode"),
        "mig": text("mig_mode/current_mig"),
        "ecc": text("ecc_mode/current_ecc"),
        "ecc_pending": text("ecc_mode/pending_ecc"),
        "uncorrected": _uncorrected(gpu.find("ecc_errors/volatile")),
        "threshold": text("ecc_errors/aggregate/sram_threshold_exceeded"),
        "remap_pending": text("remapped_rows/remapped_row_pending"),
        "remap_failure": text("remapped_rows/remapped_row_failure"),
        "recovery": text("gpu_recovery_action"),
        "reset_required": text("gpu_reset_status/reset_required"),
        "width": number(text("pci/pci_gpu_link_info/link_widths/current_link_width")),
        "width_max": number(text("pci/pci_gpu_link_info/link_widths/max_link_width")),
        "fabric_state": text("fabric/state"),
        "fabric_status": text("fabric/status"),
        "fabric_health": text("fabric/health/summary"),
        "processes": [_process(item) for item in gpu.findall("processes/process_info")],
    }


def _uncorrected(volatile):
    """Return the uncorrected errors since the driver was loaded, over all memories; None if none is told."""
    counts = [number(item.text) for item in (volatile if volatile is not None else []) if "uncorrectable" in item.tag]
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def _process(item):
    return {
        "pid": number(item.findtext("pid")),
        "name": known(item.findtext("process_name")) or "?",
        "memory_mib": number(item.findtext("used_memory")),
    }


def known(text):
    """Return a text that says something, else None."""
    said = (text or "").strip()
    return None if said.lower() in UNKNOWN else said


def number(text):
    """Return the number a field begins with (`81559 MiB`, `16x`), or None."""
    match = re.match(r"\s*([0-9]{1,18})(?![0-9])", text or "")
    return int(match.group(1)) if match else None


def capabilities(text):
    """Return the compute capabilities of `--query-gpu=compute_cap --format=csv,noheader`; None if it is not that."""
    rows = [line.strip() for line in text.splitlines() if line.strip()]
    if not rows or not all(re.match(r"[0-9]{1,3}\.[0-9]{1,2}$", row) for row in rows):
        return None
    return [float(row) for row in rows]


def links(text):
    """Return {GPU: (links up, links down)} of `nvidia-smi nvlink -s`; None if no GPU is told."""
    found, current = {}, None
    for line in text.splitlines():
        head = re.match(r"\s*GPU\s+([0-9]{1,4}):", line)
        if head:
            current = int(head.group(1))
            found[current] = (0, 0)
        elif current is not None and re.match(r"\s*Link\s+[0-9]{1,4}:", line):
            up, down = found[current]
            is_up = re.search(r"[0-9.]+\s*GB/s", line)
            found[current] = (up + 1, down) if is_up else (up, down + 1)
    return found or None


def connections(text):
    """Return {(GPU, GPU): how they are connected} of `nvidia-smi topo -m`; None if it is no such table."""
    found, columns = {}, None
    for line in text.splitlines():
        cells = line.split()
        if columns is None:
            if len(cells) > 1 and cells[0] == "GPU0" and cells[1] != "X":
                columns = [cell for cell in cells if re.match(r"GPU[0-9]{1,4}$", cell)]
        elif cells and re.match(r"GPU[0-9]{1,4}$", cells[0]):
            for column, cell in zip(columns, cells[1:]):
                if column != cells[0] and cell != "X":
                    found[(int(cells[0][3:]), int(column[3:]))] = cell
    return found or None
