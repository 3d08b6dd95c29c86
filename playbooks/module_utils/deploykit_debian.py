"""What a Debian host says of its packages: which are missing, and whether apt could get them. Nothing is changed."""

import glob
import os
import re
import socket
import subprocess
import time
from urllib.parse import urlsplit

LISTS = "/var/lib/apt/lists"
FRESH_S = 86400
CONNECT_S = 3


def run(*command):
    """Run a program without a terminal and in English; what it prints on either stream is its `stdout`."""
    environment = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        universal_newlines=True, check=False,
    )  # fmt: skip


def missing(names):
    """Return those packages that are not installed, whole and configured. Raises OSError where there is no dpkg."""
    lacking = []
    for name in names:
        done = run("dpkg-query", "--show", "--showformat=${db:Status-Status}\\n", name)
        if "installed" not in done.stdout.splitlines():  # one line for each architecture
            lacking.append(name)
    return lacking


def lists_are_fresh(folder=LISTS):
    """Return whether there are package lists, fetched within a day."""
    times = [os.stat(path).st_mtime for path in glob.glob(os.path.join(folder, "*Packages*"))]
    return bool(times) and time.time() - max([*times, os.stat(folder).st_mtime]) < FRESH_S


def unknown(names):
    """Return those packages that the package lists on this host do not have."""
    found = run("apt-cache", "policy", *names).stdout
    known = set(re.findall(r"^(\S+):\n.*\n  Candidate: (?!\(none\))", found, re.MULTILINE))
    return [name for name in names if name not in known]


def out_of_reach():
    """Return why package lists cannot be fetched, or None if a source answers. With a proxy that is not tried."""
    if re.search(r'^Acquire::https?::Proxy\S* "[^"]', run("apt-config", "dump").stdout, re.MULTILINE):
        return None
    places = set(re.findall(r"^'([^']+)'", run("apt-get", "--print-uris", "update").stdout, re.MULTILINE))
    if not places:
        return "it has no package source"
    asked = sorted(
        {(urlsplit(place).hostname, urlsplit(place).port, urlsplit(place).scheme) for place in places}, key=str
    )
    for host, port, scheme in asked:
        if host is None or _answers(host, port or (443 if scheme == "https" else 80)):
            return None
    return "its package sources ({0}) do not answer".format(", ".join(host for host, _, _ in asked))


def _answers(host, port):
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return True
    except OSError:
        return False
