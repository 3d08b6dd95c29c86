"""Checks of what runs the engine in a container: podman, cgroups, NVIDIA's names of the GPUs, the image."""

import glob
import os
import re
import shutil

from ansible.module_utils.deploykit_finding import at_least, blocker, info, warning

MIN_PODMAN = "4.4"
"""The first podman that makes services of its own units."""

INIT = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/lib/podman/catatonit")
"""Where distributions put the first process of containers, which hands signals on."""

PACKAGES = {"podman": ("podman", "crun"), "init": ("catatonit",)}
"""Debian's packages."""

STORAGE = "/var/lib/containers"
CGROUPS = "/sys/fs/cgroup/cgroup.controllers"
DRIVER = "/sys/module/nvidia/version"
CDI = ("/var/run/cdi", "/etc/cdi")
"""Where specifications of devices lie; the first one wins (github.com/cncf-tags/container-device-interface, SPEC.md)."""

ELSEWHERE = "use a newer distribution (Debian 13, Ubuntu 24.04, RHEL 9), or leave `runtime` at `environment`"
TOOLKIT = "install NVIDIA's container toolkit from NVIDIA's package source, or leave `runtime` at `environment`"


def podman(version, policy):
    """Check podman's version, or where it is not installed the one that apt would install (`apt-cache policy`)."""
    needed = "units need {0} or newer".format(MIN_PODMAN)
    if version.ran:
        found = re.search(r"[0-9]+(\.[0-9]+)+", version.text)
        said = "podman {0}".format(found.group()) if found else version.text.strip()[:80]
        if found and at_least(found.group(), MIN_PODMAN):
            return info("podman", said)
        return blocker("podman", "{0}; {1}".format(said, needed), ELSEWHERE)
    if not policy.ran:
        return blocker("podman", "{0}, and there is no apt to install it with".format(version.why), "install podman")
    offered = re.search(r"Candidate: (?:[0-9]+:)?([0-9]+(?:\.[0-9]+)+)", policy.text)
    if offered is None:
        return blocker("podman", version.why + ", and apt knows no such package", "give the host a package source")
    if at_least(offered.group(1), MIN_PODMAN):
        return info("podman", "not installed yet; apt has {0}".format(offered.group(1)))
    said = "not installed, and this distribution has {0}; {1}".format(offered.group(1), needed)
    return blocker("podman", said, ELSEWHERE)


def missing_packages():
    """Return the packages that this host lacks."""
    lacking_podman = [] if shutil.which("podman") else list(PACKAGES["podman"])
    return lacking_podman + ([] if any(map(os.path.exists, INIT)) else list(PACKAGES["init"]))


def init(there, policy):
    """Check the first process of containers, which hands signals on: without it an engine that loads does not stop."""
    if there:
        return info("container init", "catatonit")
    if policy.ran:
        return info("container init", "catatonit is not installed yet; apt has it")
    return blocker("container init", "catatonit is not installed, and there is no apt to install it with", "install it")


def cgroups(unified):
    """Check that cgroups are of version 2, without which podman makes no services."""
    if unified:
        return info("cgroups", "version 2")
    return blocker("cgroups", "not version 2", "boot with systemd.unified_cgroup_hierarchy=1, or " + ELSEWHERE)


def toolkit(version):
    """Check NVIDIA's container toolkit."""
    if version.ran:
        return info("container toolkit", (version.text.strip().splitlines() or ["it runs"])[0][:80])
    return blocker("container toolkit", version.why, TOOLKIT)


def specification():
    """Return (path, text) of the file that names the GPUs, by which containers get them; where there is none, of a new one."""
    for folder in CDI:
        for path in sorted(glob.glob(os.path.join(folder, "*"))):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    text = file.read()
            except OSError:
                continue
            if "nvidia.com/gpu" in text:
                return path, text
    return os.path.join(CDI[-1], "nvidia.yaml"), ""


def lacking(listed, gpus):
    """Return the GPUs that `nvidia-ctk cdi list` does not name."""
    named = set(listed.split())
    wanted = ["nvidia.com/gpu=all", *("nvidia.com/gpu={0}".format(index) for index in range(gpus))]
    return [name for name in wanted if name not in named]


def is_stale(text, driver):
    """Return whether the specification names the files of another driver: its libraries carry their version."""
    return bool(text and driver) and driver not in text


def devices(listed, gpus, text, driver):
    """Check that containers can be given the GPUs; the runtime role makes the names where they are missing or old."""
    missing = lacking(listed.text, gpus) if listed.ran else ["GPUs"]
    if missing:
        why = listed.why or "{0} is not named".format(missing[0])
        return info("gpus for containers", why + "; `up` has `nvidia-ctk cdi generate` name them")
    if is_stale(text, driver):
        return info("gpus for containers", "named for another driver than {0}; `up` names them again".format(driver))
    return info("gpus for containers", "{0} and `all` are named".format(gpus))


def image(reference, there):
    """Check whether the image is pinned, and there."""
    evidence = "{0}, {1}".format(reference, "on this host" if there else "to be pulled")
    if "@sha256:" in reference:
        return info("image", evidence)
    mend = "pin it in deploykit.yaml: `container: {image: NAME@sha256:...}`"
    return warning("image", evidence + ", by tag: a tag can be moved", mend)
