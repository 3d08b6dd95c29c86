"""Checks of engines that run: state, restarts, counters, versions, disk, certificate. Values and texts in, findings out."""

import json
import math
import re

from ansible.module_utils.deploykit_finding import blocker, info, properties, skipped, warning

FULL = 0.95
DAYS_LEFT = 14
FREE_SHARE = 0.05
MANY = 0.01
RENEW = "`deploykit up` makes a new internal one; your own is named by `gateway.tls` in deploykit.yaml"


def engine(entry):
    """Check what `deploykit_engine` says of an instance."""
    name = entry["name"]
    if entry["state"] != "running":
        ended = " ({0})".format(entry["ended"]) if entry.get("ended") else ""
        return blocker(name, "{0}{1}".format(entry["state"], ended), "`deploykit logs`, then `deploykit up`")
    if entry["health"] not in ("ok", "headless"):
        return blocker(name, "runs, and /health says: {0}".format(entry["health"]), "look at `deploykit logs`")
    return info(name, "{0} for {1} s (pid {2})".format(entry["health"], entry["uptime"], entry["pid"]))


def restarts(name, output):
    """Check how often systemd started an engine again (`systemctl show -p NRestarts`)."""
    count = properties(output.text).get("NRestarts", "")
    if not re.match(r"[0-9]{1,9}$", count):
        return skipped(name + " restarts", output.why or "systemd does not tell")
    if int(count):
        return warning(
            name + " restarts", "started again {0} x by systemd".format(count), "`deploykit logs -n 500`: why it ended"
        )
    return info(name + " restarts", "none")


def counters(name, text, names):
    """Check an engine's /metrics: memory for the KV cache, requests that wait, preemptions.

    Args:
        name: the instance.
        text: Prometheus' text format, or None if it did not answer.
        names: what the engine's release calls its metrics.

    """
    if text is None:
        return [warning(name + " counters", "/metrics does not answer", "look at `deploykit logs`")]
    found = samples(text)
    missing = [
        names[key] for key in ("kv_cache_usage", "requests_running", "requests_waiting") if names[key] not in found
    ]
    if missing:
        mend = "is it the release that the profile describes?"
        return [warning(name + " counters", "/metrics has no {0}".format(", ".join(missing)), mend)]
    usage = max(found[names["kv_cache_usage"]])
    running, waiting = sum(found[names["requests_running"]]), sum(found[names["requests_waiting"]])
    said = "KV cache {0:.0%} full, {1:.0f} requests run, {2:.0f} wait".format(usage, running, waiting)
    mend = "it is at its limit: more replicas, shorter contexts, or fewer requests at once"
    pressure = (
        warning(name + " kv cache", said, mend)
        if usage >= FULL or waiting > running
        else info(name + " kv cache", said)
    )
    return [pressure, _preemptions(name, found, names)]


def _preemptions(name, found, names):
    if names["preemptions"] not in found:
        return skipped(name + " preemptions", "not told")
    count = sum(found[names["preemptions"]])
    finished = sum(found.get(names["requests_finished"], []))
    said = "{0:.0f} preemptions, {1:.0f} requests finished".format(count, finished)
    if count and count >= finished * MANY:
        mend = "each one computes its tokens again: lower max-num-seqs, or give the KV cache more memory"
        return warning(name + " preemptions", said, mend)
    return info(name + " preemptions", said)


def samples(text):
    """Return the values of each metric in Prometheus' text format, by its name; what is no sample is left out."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z_:][\w:]*)(?:\{.*\})?\s+(\S+)", line)
        if match:
            try:
                value = float(match.group(2))
            except ValueError:
                continue
            if math.isfinite(value):
                found.setdefault(match.group(1), []).append(value)
    return found


def versions(entry, answer, planned, release, model):
    """Check what runs against what was deployed: the engine's /version, the release's folder, the model's name."""
    name, wrong, seen = entry["name"], [], []
    if entry["release"]:
        seen.append("release {0}".format(entry["release"]))
        if entry["release"] != release[:12]:
            wrong.append("release {0} runs, {1} was deployed".format(entry["release"], release[:12]))
    try:
        version = json.loads(answer or "")["version"]
    except (ValueError, LookupError, TypeError):
        version = None
    if isinstance(version, str):
        seen.append("vLLM {0}".format(version))
        if version.split("+")[0] != planned.split("+")[0]:
            wrong.append("vLLM {0} answers, {1} was planned".format(version, planned))
    if entry["model"]:
        seen.append("`{0}`".format(entry["model"]))
        if entry["model"] != model:
            wrong.append("`{0}` is served, `{1}` was deployed".format(entry["model"], model))
    if wrong:
        return warning(name + " versions", "; ".join(wrong), "`deploykit up` brings it to what was planned")
    return info(name + " versions", ", ".join(seen)) if seen else skipped(name + " versions", "it does not answer")


def disk(path, free_bytes, total_bytes):
    """Check the disk that logs and weights are on."""
    said = "{0:.1f} of {1:.1f} GB free at {2}".format(free_bytes / 1e9, total_bytes / 1e9, path)
    if total_bytes and free_bytes / total_bytes < FREE_SHARE:
        return warning("disk", said, "logs and a next release need room: remove old engines or models there")
    return info("disk", said)


def service(name, output):
    """Check a service of ours by `systemctl show`."""
    state = properties(output.text)
    if state.get("ActiveState") == "active":
        return info(name, "active")
    said = state.get("ActiveState") or output.why or "not told"
    return blocker(name, said, "`journalctl -u deploykit-{0}`, then `deploykit up`".format(name))


def certificate(domain, expires, now, why):
    """Check how long the gateway's certificate lasts; `expires` and `now` in seconds, `why` if there is none to see."""
    if not domain:
        return skipped("certificate", "none: plain HTTP")
    if expires is None:
        mend = "`gateway.tls` and `gateway.domain` in deploykit.yaml, then `deploykit up`: `journalctl -u deploykit-gateway`"
        return blocker("certificate", "{0}: {1}".format(domain, why), mend)
    days = (expires - now) / 86400
    said = "{0}: {1:.0f} days left".format(domain, days)
    if days <= 0:
        return blocker("certificate", said, RENEW)
    if days < DAYS_LEFT:
        return warning("certificate", said, RENEW)
    return info("certificate", said)
