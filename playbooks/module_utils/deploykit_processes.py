"""The processes of a deployment on this host: who started whom, which are left over, and how they are ended."""

import contextlib
import os
import signal

from ansible.module_utils.deploykit_host import is_ours, process, wait_until

GRACE_S = 10
"""What a process gets to end by itself."""


def descendants(pid):
    """Return the processes that a process started, directly or not."""
    children = {}
    for each, parent in _parents().items():
        children.setdefault(parent, []).append(each)
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found


def left_over(root, spared=()):
    """Return the deployment's processes that nobody looks after, as `births`: ours by `is_ours`, and what they started.

    `spared` are the living, such as the family of the supervisor at work. This process and those that it was started
    from are never among them, nor is a process in another container, whose paths mean other folders.
    """
    parents = _parents()
    spared = set(spared)
    each = os.getpid()
    while each:
        spared.add(each)
        each = parents.get(each, 0)
    found = set()
    for pid in sorted(set(parents) - spared):
        known = process(pid) if _namespace(pid) == _namespace("self") else None
        if known and not known["unit"].startswith("deploykit-") and is_ours(known, root):  # systemd looks after units
            found |= {pid, *descendants(pid)}
    return births(found - spared)


def births(pids):
    """Return {pid: birth}, which names processes for good: a pid alone may be given to another one."""
    found = {pid: birth(pid) for pid in sorted(pids)}
    return {pid: born for pid, born in found.items() if born is not None}


def end(born):
    """End processes that are named by `births`, first asking; return the pids of those that do not end."""

    def living():
        return [pid for pid in born if birth(pid) == born[pid]]

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in living():
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        if wait_until(lambda: not living(), GRACE_S):
            return []
    return living()


def birth(pid):
    """Return when a process began, in the kernel's ticks; None if it has ended."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


def _parents():
    found = {}
    for name in os.listdir("/proc"):
        fields = _stat(name) if name.isdigit() else None
        if fields:
            found[int(name)] = int(fields[1])
    return found


def _stat(pid):
    """Return the fields of /proc/PID/stat after the name: state, parent, and so on; None if there is no process."""
    try:
        with open("/proc/{0}/stat".format(pid)) as file:
            return file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError, UnicodeDecodeError):
        return None


def _namespace(pid):
    try:
        return os.readlink("/proc/{0}/ns/mnt".format(pid))
    except OSError:
        return None
