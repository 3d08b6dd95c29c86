"""What modules ask of the host they run on: who listens on a port, what a process is, what an HTTP server says.

Reads /proc and speaks HTTP to this host itself; never through a proxy.
"""

import glob
import http.client
import json
import os
import time

LISTEN = "0A"
DELETED = " (deleted)"


def tail(path, lines):
    """Return the last lines of a text file, as a list; empty if there is no such file."""
    size_per_line = 512
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            end = file.tell()
            file.seek(max(0, end - lines * size_per_line))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def listening_inodes(table, port):
    """Return the socket inodes that listen on a port, from the text of /proc/net/tcp or tcp6."""
    inodes = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
            inodes.add(fields[9])
    return inodes


def listening_address(table, port):
    """Return the IPv4 address to reach a port of this host at, from the text of /proc/net/tcp."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, _, number = fields[1].partition(":")
        if fields[3] == LISTEN and int(number, 16) == port:
            parts = [str(byte) for byte in reversed(bytes.fromhex(address))]
            return "127.0.0.1" if parts[0] in ("0", "127") else ".".join(parts)
    return "127.0.0.1"


def listeners(port):
    """Return all who listen on a port, as {pid, command, cwd, unit}; pid is None for one that is hidden from us.

    A socket may be held by several processes, and a port by several sockets (SO_REUSEPORT).
    """
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        inodes |= listening_inodes(_read(table), port)
    if not inodes:
        return []
    wanted = {"socket:[{0}]".format(inode): None for inode in inodes}
    holders = {}
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            held = os.readlink(link)
        except OSError:  # the process ended, or is another user's
            continue
        if held in wanted:
            pid = int(link.split("/")[2])
            found = holders.get(pid) or process(pid)
            if found:
                wanted[held] = holders[pid] = found
    hidden = [{"pid": None, "command": "", "cwd": "", "unit": ""} for holder in wanted.values() if holder is None]
    return [holders[pid] for pid in sorted(holders)] + hidden


def process(pid):
    """Return {pid, command, cwd, unit, uptime_s} of a running process, or None."""
    stat = _read("/proc/{0}/stat".format(pid))
    if not stat or stat.rsplit(")", 1)[1].split()[0] in ("Z", "X"):
        return None
    started = int(stat.rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    uptime = float(_read("/proc/uptime").split()[0]) - started
    cgroup = _read("/proc/{0}/cgroup".format(pid)).strip().splitlines()
    units = [part for line in cgroup for part in line.split("/") if part.endswith(".service")]
    try:
        cwd = os.readlink("/proc/{0}/cwd".format(pid))
    except OSError:
        cwd = ""
    command = _read("/proc/{0}/cmdline".format(pid)).replace("\0", " ").strip()
    return {
        "pid": pid,
        "command": command,
        "cwd": cwd,
        "unit": units[-1] if units else "",
        "uptime_s": round(uptime, 1),
    }


def is_ours(found, root):
    """Return whether a process is of this deployment: in one of our units, or an engine in a folder of our root.

    Somebody's shell or editor in that folder is not: an engine also runs what was installed under the root. Both
    stay true when the folder is deleted, where /proc adds ` (deleted)` to the paths.
    """
    if found["unit"].startswith("deploykit-"):
        return True
    real = os.path.realpath(root)
    inside = found["cwd"] in (real, real + DELETED) or found["cwd"].startswith(real + os.sep)
    if found["pid"] is None or not inside:
        return False
    engines = _engine_folders(root, real)
    if any(found["command"].startswith(folder) for folder in engines):
        return True
    # A process may overwrite its command line with a title; the libraries it has loaded stay.
    loaded = _read("/proc/{0}/maps".format(found["pid"]))
    return any(folder in loaded for folder in engines)


def _engine_folders(*roots):
    """Return how the paths of installed engines may begin: whoever has little room puts them elsewhere, with a link."""
    at = [os.path.join(root, "engines") for root in roots]
    links = [entry for folder in at for entry in glob.glob(os.path.join(folder, "*")) if os.path.islink(entry)]
    return sorted({os.path.join(path, "") for folder in at + links for path in (folder, os.path.realpath(folder))})


def request(port, path, body=None, key=None, timeout=5.0):
    """Ask this host's HTTP server; return (status, text), or (None, why) if nothing came back."""
    connection = http.client.HTTPConnection(listening_address(_read("/proc/net/tcp"), port), port, timeout=timeout)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if key:
        headers["Authorization"] = "Bearer " + key
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__
    finally:
        connection.close()


def wait_until(answer, seconds, pause=0.2):
    """Call until the answer is true or the time is over; return the last answer."""
    end = time.monotonic() + seconds
    while True:
        last = answer()
        if last or time.monotonic() >= end:
            return last
        time.sleep(pause)


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
