"""Where Ansible keeps the sockets over which SSH connections are shared: their paths may not be long."""

import os
from pathlib import Path

_LONGEST = 103
"""Bytes of a socket's path: macOS has 104 with the zero at the end, Linux 108."""
_NAME = len("/0123456789.0123456789abcdef")
"""Ansible's name for a connection, and what ssh adds to it while it makes the socket."""


def socket_folder(private: Path) -> dict[str, str]:
    """Return the environment by which Ansible takes a run's own folder where `~/.ansible/cp` is too long for sockets.

    There, every connection of that run would fail; in the run's folder they are shared as ever, until the run is over.
    """
    usual = Path.home() / ".ansible" / "cp"
    fits = len(os.fsencode(usual)) + _NAME <= _LONGEST
    return {} if fits else {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(private / "cp")}
