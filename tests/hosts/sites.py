"""An operator, hosts, and what callers see of them."""

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager


class Site:
    """Hosts that are deployed to, and the operator who does it."""

    def __init__(self, machines, operator, inventory, *more, model="deepseek-v4-flash"):
        self.key = operator.extra["DEPLOYKIT_API_KEY"]
        self.machines, self.operator, self.inventory, self.more = machines, operator, inventory, more
        self.machine, self.model = machines[0], model

    def command(self, *more):
        return ("up", "-i", str(self.inventory), "--no-measure", *self.more, *more)

    def up(self, *more):
        return self.operator.json(*self.command(*more))

    def failed(self, *more):
        """Run an `up` that fails; return the error as it was told."""
        ran = self.operator.run(*self.command(*more))
        assert ran.returncode == 6, ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stderr[ran.stderr.rindex("\nerror: ") + 1 :]

    def until(self, running, *tasks):
        """Wait until these tasks of an `up` that was started have begun, one after the other."""
        limit = threading.Timer(300, running.kill)
        limit.start()
        left, said = list(tasks), []
        for line in running.stderr:
            said.append(line)
            if left[0] in line:
                left.pop(0)
            if not left:
                break
        limit.cancel()
        if left:
            running.communicate()
        assert not left, f"it never came to `{left[0]}`:\n{''.join(said)}"

    def killed(self, *tasks, more=()):
        """Start an `up`, and kill it with -9 when the last of these tasks has begun."""
        running = self.operator.start(*self.command(*more))
        self.until(running, *tasks)
        running.send_signal(signal.SIGKILL)
        _out, said = running.communicate()
        assert running.returncode == -signal.SIGKILL, said

    def engines(self):
        """Return systemd's word for each engine and its process, by host and unit."""
        found = {}
        for machine in self.machines:
            said = machine.root(
                "systemctl", "show", "deploykit-engine-*", "deploykit-rank-*", "--property=Id,ActiveState,MainPID"
            )
            for block in said.split("\n\n"):
                told = dict(line.split("=", 1) for line in block.splitlines())
                if told:
                    found[machine.name, told["Id"]] = (told["ActiveState"], told["MainPID"])
        return found

    def engine(self):
        """Return the same of the first host's one engine, also of one that was stopped."""
        said = self.machine.root("systemctl", "show", "deploykit-engine-0.service", "--property=ActiveState,MainPID")
        told = dict(line.split("=") for line in said.split())
        return told["ActiveState"], told["MainPID"]

    def ask(self, key=None, timeout=120.0, max_tokens=2):
        """Ask for a completion, as a caller from outside does; return the status, or the error's name."""
        body = {"model": self.model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": "ok"}]}
        request = urllib.request.Request(
            f"http://{self.machine.address}:8000/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {key or self.key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError as error:
            return type(error).__name__

    @contextmanager
    def load(self, callers=6, max_tokens=10):
        """Ask all the time, from several callers at once; gives a count of what was answered, complete at the end."""
        seen, over = Counter(), threading.Event()

        def call():
            while not over.is_set():
                seen[self.ask(max_tokens=max_tokens)] += 1

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def in_service(self):
        """Wait until the gateway gives every engine requests: those that get none are the first to be changed."""
        ask = 'echo show servers state engines | python3 -c "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n'
        ask += "s.connect('/run/deploykit-gateway/admin.sock')\ns.sendall(sys.stdin.buffer.read())\nprint(s.makefile().read())\""
        end = time.monotonic() + 60
        while True:
            rows = [line.split() for line in self.machine.root("sh", "-c", ask).splitlines()[2:] if line]
            # srv_op_state 2 is RUNNING, srv_admin_state 0 is neither drained nor in maintenance
            waited_for = [row[3] for row in rows if row[5:7] != ["2", "0"]]
            if rows and not waited_for:
                return
            assert time.monotonic() < end, (
                waited_for,
                self.machine.root("journalctl", "-u", "deploykit-gateway", "-n", "40"),
            )
            time.sleep(0.2)

    def current(self):
        """Return the release that serves on every host."""
        found = {machine.root("readlink", "/opt/deploykit/current").strip() for machine in self.machines}
        assert len(found) == 1, found
        return found.pop().removeprefix("releases/")

    def locked(self):
        return [m.name for m in self.machines if m.root("ls", "/opt/deploykit/lock", check=False)]

    def audit(self):
        return [json.loads(line) for line in self.machine.root("cat", "/opt/deploykit/audit.log").splitlines()]

    def wait_for(self, path, process, machine=None):
        """Wait until a file is on a host while a command runs."""
        end = time.monotonic() + 120
        while (machine or self.machine).root("sh", "-c", f"ls {path}", check=False) == "":
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
