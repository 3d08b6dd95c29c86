"""Checks of any host: system, clock, disk, memory, ports, limits. Texts and numbers in, findings out."""

from ansible.module_utils.deploykit_finding import at_least, blocker, info, properties, skipped, warning
from ansible.module_utils.deploykit_weights import room

GB = 1e9
MACHINES = ("x86_64", "aarch64")
MIN_GLIBC = "2.28"
MIN_PYTHON = (3, 8)
MAX_SKEW_S = 30
MIN_SHM_GB = 8
MIN_FILES = 8192
ELSEWHERE = "use a machine of that kind; `deploykit up --dry-run` works anywhere"


def system(name, machine, libc):
    """Check the operating system, the machine's kind and its C library (the engine's wheels need glibc 2.28)."""
    found = "{0} on {1}{2}".format(name, machine, ", {0} {1}".format(*libc) if libc[0] else "")
    if name != "Linux" or machine not in MACHINES:
        return blocker("system", "{0}; needed is Linux on {1}".format(found, " or ".join(MACHINES)), ELSEWHERE)
    if libc[0] != "glibc" or not at_least(libc[1], MIN_GLIBC):
        return blocker("system", "{0}; the engine needs glibc {1} or newer".format(found, MIN_GLIBC), ELSEWHERE)
    return info("system", found)


def release(text):
    """Check /etc/os-release; only those the roles were run on are known to work."""
    found = {key: value.strip("\"'") for key, value in properties(text).items()}
    name = found.get("PRETTY_NAME") or found.get("ID")
    if not name:
        return skipped("release", "/etc/os-release does not say what this is")
    return info("release", name)


def python(version):
    """Check the Python that runs the modules."""
    found = ".".join(str(part) for part in version[:3])
    if tuple(version[:2]) < MIN_PYTHON:
        return blocker("python", "{0}; 3.8 or newer is needed".format(found), "install a newer python3")
    return info("python", found)


def engine_python(version, found, offline, carried):
    """Check that the engine's environment can have its Python.

    Args:
        version: the one that the engine needs, such as 3.12.
        found: the host's program of that version, or None.
        offline: whether the engine is installed without a network, from a bundle.
        carried: whether the bundle has a Python for the host.

    """
    if found:
        return info("engine python", "{0} is {1}".format(found, version))
    if carried:
        return info("engine python", "{0} is in the bundle".format(version))
    if not offline:
        return info("engine python", "{0} is not on the host; uv downloads it".format(version))
    evidence = "Python {0} is neither on the host nor in the bundle, and without a network none can be had".format(
        version
    )
    mend = "install python{0} there, or make the bundle where uv can download one".format(version)
    return blocker("engine python", evidence, mend)


def packages(wanted, lacking, unknown, why_not):
    """Check the distribution's packages that are to be installed.

    Args:
        wanted: all that this host needs.
        lacking: those that are not installed.
        unknown: those of them that no package list here has.
        why_not: why new lists cannot be fetched; None if they can.

    """
    if not lacking:
        return info("packages", "{0} installed".format(", ".join(wanted) or "none needed, none"))
    listed = ", ".join(lacking)
    mend = "install it there (`apt-get install {0}`), or give the host a package source that has it"
    if why_not:
        return blocker("packages", "{0} not installed, and {1}".format(listed, why_not), mend.format(" ".join(lacking)))
    if unknown:
        evidence = "{0} not installed, and none of the host's package sources has it".format(", ".join(unknown))
        return blocker("packages", evidence, mend.format(" ".join(unknown)))
    return info("packages", "to be installed from the host's package sources: {0}".format(listed))


def sudo(needed, uid, said):
    """Check that the login becomes root; `uid` is what `id -u` printed as root, `said` what came instead."""
    if not needed:
        return skipped("sudo", "a rehearsal needs no root")
    if uid == "0":
        return info("sudo", "the login becomes root")
    evidence = "the login does not become root{0}".format(": " + said if said else "")
    return blocker("sudo", evidence, "give the user sudo without a password, or set ansible_become_password for it")


def systemd(needed, output):
    """Check what `systemctl is-system-running` says: it also prints a state when it ends badly."""
    if not needed:
        return skipped("systemd", "a rehearsal is kept up by supervisord")
    state = output.text.strip().splitlines()[0] if output.text.strip() else ""
    if state in ("running", "starting"):
        return info("systemd", state)
    if state in ("degraded", "maintenance"):
        return warning("systemd", "systemd reports {0}".format(state), "look at `systemctl --failed`")
    return blocker("systemd", output.why or "systemd says `{0}`".format(state), "boot the host with systemd")


def clock(output, host_time, controller_time):
    """Check time synchronisation (`timedatectl show`) and how far the two clocks are apart, in seconds."""
    found = []
    skew = None if controller_time is None else host_time - controller_time
    if skew is not None and abs(skew) > MAX_SKEW_S:
        evidence = "the clock is {0:.0f} s {1} this machine's".format(abs(skew), "after" if skew > 0 else "before")
        found.append(warning("clock", evidence, "certificates and logs go wrong: enable chrony or systemd-timesyncd"))
    synchronised = properties(output.text).get("NTPSynchronized")
    if synchronised == "yes":
        return found or [info("clock", "synchronised")]
    if synchronised == "no":
        return [*found, warning("clock", "not synchronised", "enable chrony or systemd-timesyncd")]
    why = output.why or "timedatectl does not say whether the clock is synchronised"
    return [*found, skipped("clock", why)]


def space(needs, free_of, device_of, mend):
    """Check disk space. Needs are (what, path, bytes); those on one file system are added up."""
    devices = {}
    for what, path, needed in needs:
        if needed > 0:
            devices.setdefault(device_of(path), []).append((what, path, needed))
    if not devices:
        return [skipped("disk", "all that is needed is there already")]
    found = []
    for wanted in devices.values():
        path, free = wanted[0][1], free_of(wanted[0][1])
        evidence = room(free, path, [(what, count) for what, _, count in wanted])
        enough = free >= sum(count for _, _, count in wanted)
        found.append(info("disk", evidence) if enough else blocker("disk", evidence, mend))
    return found


def memory(total_gb, needed_gb, what):
    """Check the RAM; `what` says what it is for."""
    if needed_gb is None:
        return skipped("ram", "{0:.1f} GB; the plan asks for no amount".format(total_gb))
    evidence = "{0:.1f} GB; needed: {1:g} GB for {2}".format(total_gb, needed_gb, what)
    if total_gb >= needed_gb:
        return info("ram", evidence)
    return blocker("ram", evidence, "use a machine with more RAM, or a smaller model")


def port(wanted, found, ours):
    """Check one port: who wants it, and its listener `found`."""
    name = "port {0}".format(wanted["port"])
    if found is None:
        return info(name, "free for {0}".format(wanted["listener"]))
    if ours:
        return info(name, "this deployment's own (pid {0})".format(found["pid"]))
    who = "pid {0}: {1}".format(found["pid"], found["command"][:120]) if found["pid"] else "a process of another user"
    if wanted.get("replaces") and found["unit"] == wanted["replaces"]:
        said = "{0}, which listens there, is stopped by `up`: {1} takes its place".format(
            found["unit"], wanted["listener"]
        )
        return warning(name, said, "nothing, unless somebody else reads it")
    if wanted.get("welcome") and wanted["welcome"] in found["command"]:
        return info(name, "{0} does as well".format(who))
    stop = "stop it{0}".format(" (`kill {0}`)".format(found["pid"]) if found["pid"] else "")
    mend = "{0}, or {1}".format(stop, wanted["otherwise"]) if wanted.get("otherwise") else stop
    return blocker(name, "taken by {0}; {1} needs it".format(who, wanted["listener"]), mend)


def limits(nofile, memlock, by_systemd):
    """Check the hard limits of open files and locked memory; None is unlimited. A unit of ours sets its own."""
    said = "open files {0}, locked memory {1}".format(
        "unlimited" if nofile is None else nofile,
        "unlimited" if memlock is None else "{0:.0f} MiB".format(memlock / 2.0**20),
    )
    if by_systemd:
        return info("limits", said + "; the engine's unit sets its own (1048576, unlimited)")
    if nofile is not None and nofile < 1024:
        return blocker("limits", said, "raise the limit of open files: `ulimit -n 65536`")
    if nofile is not None and nofile < MIN_FILES:
        return warning("limits", said, "many connections at once need more files: `ulimit -n {0}`".format(MIN_FILES))
    return info("limits", said)


def shared_memory(size_gb, needed):
    """Check /dev/shm, through which the ranks of one engine talk."""
    if size_gb is None:
        return skipped("shm", "there is no /dev/shm to look at")
    evidence = "{0:.1f} GB".format(size_gb)
    if needed and size_gb < MIN_SHM_GB:
        return warning("shm", evidence, "enlarge it: `mount -o remount,size=16G /dev/shm`")
    return info("shm", evidence)
