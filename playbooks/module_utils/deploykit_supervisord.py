"""supervisord, which keeps processes up where there is no systemd: start it, ask it, stop it and all that it started."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import xmlrpc.client

from ansible.module_utils.deploykit_host import process, wait_until
from ansible.module_utils.deploykit_processes import births, descendants, end

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""The environment engines start with: no secret and no setting of the shell that ran `up` reaches them by accident."""

UP = ("STARTING", "RUNNING")


class SupervisordError(Exception):
    """supervisord did not do what it was asked; the text says what."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path, timeout):
        super().__init__()
        self._path, self._timeout = path, timeout

    def make_connection(self, host):
        self._connection = host, _Connection(self._path, self._timeout)
        return self._connection[1]

    def single_request(self, *arguments, **options):
        try:
            return super().single_request(*arguments, **options)
        finally:
            self.close()


class Supervisord:
    """One supervisord: its configuration file, socket and pid file."""

    def __init__(self, config, path, pidfile):
        self.config, self.path, self.pidfile = config, path, pidfile
        self.api = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(path, 120)).supervisor

    def pid(self):
        """Return its process, or None. If its pid file is gone, it is found by its command line."""
        try:
            with open(self.pidfile) as file:
                pids = [int(file.read())]
        except (OSError, ValueError):
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return next((pid for pid in pids if self._is_it(pid)), None)

    def _is_it(self, pid):
        try:
            with open("/proc/{0}/cmdline".format(pid), "rb") as file:
                arguments = [os.fsdecode(part) for part in file.read().split(b"\0")]
        except OSError:
            return False
        named = any(os.path.basename(part) == "supervisord" for part in arguments)
        return named and ("-c", self.config) in zip(arguments, arguments[1:]) and process(pid) is not None

    def answers(self):
        """Return whether it is up and listens to us."""
        try:
            return bool(self.api.getState())
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def start(self, program):
        """Start it; raises SupervisordError with what it printed."""
        folder = os.path.dirname(self.path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.stat(folder).st_uid != os.geteuid():
            raise SupervisordError("{0} belongs to another user: remove it".format(folder))
        os.chmod(folder, 0o700)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        done = subprocess.run(
            [program, "-c", self.config],
            env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode != 0 or not wait_until(self.answers, 15):
            raise SupervisordError(
                "supervisord does not start: " + done.stdout.decode("utf-8", "replace").strip()[-500:]
            )

    def programs(self):
        """Return what it knows of every program, by name."""
        return {info["name"]: info for info in self.api.getAllProcessInfo()}

    def update(self):
        """Read the configuration again and bring the programs to it; return the names that changed."""
        ((added, changed, removed),) = self.api.reloadConfig()
        for name in [*changed, *removed]:
            self.api.stopProcessGroup(name)
            self.api.removeProcessGroup(name)
        for name in [*added, *changed]:
            self.api.addProcessGroup(name)
        return [*added, *changed, *removed]

    def stop(self, name):
        """Stop a program and wait for it."""
        with contextlib.suppress(xmlrpc.client.Fault):  # it was not running
            self.api.stopProcess(name)

    def launch(self, name):
        """Start a program without waiting for it."""
        with contextlib.suppress(xmlrpc.client.Fault):  # it is running already
            self.api.startProcess(name, False)

    def shut_down(self):
        """Stop everything it started, then itself; return whether there was anything to stop."""
        pid = self.pid()
        if pid is None:
            return False
        family = births(descendants(pid))
        if self.answers():
            with contextlib.suppress(OSError, xmlrpc.client.Error, http.client.HTTPException):
                self.api.stopAllProcesses()
                self.api.shutdown()
        else:
            os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: process(pid) is None, 60):
            os.kill(pid, signal.SIGKILL)
        left = end(family)  # what left its process group and outlived it
        if left:
            raise SupervisordError("these processes do not end: {0}".format(", ".join(map(str, left))))
        return True

    def family(self):
        """Return its process and all that it started."""
        pid = self.pid()
        return [] if pid is None else [pid, *descendants(pid)]
