"""What a look at a host found, and the tools whose output it was read from. Nothing is changed, and nothing guessed."""

import os
import re
import subprocess

SEVERITIES = ("blocker", "warning", "skipped", "info")
"""Worst first. `skipped` is a check that could not be made or is not needed here; its evidence says which."""

TIMEOUT_S = 60


def blocker(check, evidence, mend):
    """Return what must be mended before anything is deployed."""
    return {"severity": "blocker", "check": check, "evidence": evidence, "mend": mend}


def warning(check, evidence, mend):
    """Return what will hurt, but does not stop the engine."""
    return {"severity": "warning", "check": check, "evidence": evidence, "mend": mend}


def skipped(check, why):
    """Return a check that was not made, and why."""
    return {"severity": "skipped", "check": check, "evidence": why, "mend": ""}


def info(check, evidence):
    """Return what was found and is as it should be."""
    return {"severity": "info", "check": check, "evidence": evidence, "mend": ""}


class Output:
    """What a tool printed; `why` says why there is nothing to read, and is empty when it ran well."""

    def __init__(self, command, text="", why=""):
        self.command, self.text, self.why = command, text, why

    @property
    def ran(self):
        """Whether the tool ended well."""
        return not self.why


def run_tool(*command, timeout_s=TIMEOUT_S):
    """Run a tool that only reads. One that is missing, fails or hangs is an Output that says so, never an exception."""
    name = " ".join(command)
    environment = dict(os.environ, LC_ALL="C")
    environment["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin:/opt/nvidia/nvlsm/sbin"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return Output(name, why="{0} is not installed".format(command[0]))
    except subprocess.TimeoutExpired:
        return Output(name, why="`{0}` did not end within {1} s".format(name, timeout_s))
    except OSError as error:
        return Output(name, why="`{0}` does not run: {1}".format(name, error.strerror or error))
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode == 0:
        return Output(name, text)
    return Output(name, text, "`{0}` ended with {1}: {2}".format(name, done.returncode, last_line(text) or "no output"))


def read_file(path):
    """Return a file's text as an Output."""
    try:
        with open(path, "rb") as file:
            return Output(path, file.read().decode("utf-8", "replace"))
    except OSError as error:
        return Output(path, why="{0} cannot be read: {1}".format(path, error.strerror or error))


def last_line(text):
    """Return the last line that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def numbers(version):
    """Return the numbers of a version, to compare by: `580.65.06` is [580, 65, 6]."""
    return [int(part) for part in re.findall(r"[0-9]{1,9}", version or "")]


def at_least(version, needed):
    """Return whether a version is the needed one or newer; a version without numbers is not."""
    found, wanted = numbers(version), numbers(needed)
    return bool(found) and found + [0] * (len(wanted) - len(found)) >= wanted


def properties(text):
    """Return the `Key=value` lines of `systemctl show` or `timedatectl show`."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def named(indices):
    """Return GPUs by their numbers: `GPU 3`, or `GPUs 0, 1, 5`."""
    listed = ", ".join(str(index) for index in indices)
    return "GPU {0}".format(listed) if len(indices) == 1 else "GPUs {0}".format(listed)


def summary(findings):
    """Return blockers and warnings as lines of text, worst first."""
    wrong = [item for item in findings if item["severity"] in ("blocker", "warning")]
    wrong.sort(key=lambda item: SEVERITIES.index(item["severity"]))
    return [
        "{0}  {1}: {2}{3}".format(
            item["severity"], item["check"], item["evidence"], " -> " + item["mend"] if item["mend"] else ""
        )
        for item in wrong
    ]
