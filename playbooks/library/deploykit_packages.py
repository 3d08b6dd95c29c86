#!/usr/bin/python
"""Have packages of the distribution on a host; where they are there, nobody is asked for anything."""

DOCUMENTATION = r"""
module: deploykit_packages
short_description: Have Debian packages, online or not
description:
  - Packages that are installed need no network, no package lists, and no libraries for Python.
  - For those that are missing the lists are fetched if they are older than a day, and then apt installs them without what
    they only recommend. A source that does not answer is told only if a package then cannot be had.
  - Services that a package brings and a unit of ours takes the place of are stopped, and not started at boot.
options:
  names: {type: list, elements: str, required: true}
  stopped: {type: list, elements: str, default: [], description: "Such services; one that there is not is as good."}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_debian import lists_are_fresh, missing, run

OPTIONS = (
    "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20",
    "-o", "Acquire::https::Timeout=20", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
)  # fmt: skip
LOCK_TRIES = 60
LOCK_PAUSE_S = 5

CAUSES = (
    (("No space left on device", "You don't have enough free space"), "the disk is full: free some space"),
    (("Could not resolve", "Temporary failure", "Could not connect", "Connection timed out", "Connection refused", "Unable to connect", "Network is unreachable", "Failed to fetch"), "its package sources do not answer"),
    (("Unable to locate package", "has no installation candidate"), "none of its package sources has it"),
    (("Could not get lock",), "another program is installing packages"),
    (("dpkg was interrupted", "dpkg --configure -a"), "an installation was interrupted there: run `dpkg --configure -a`"),
)  # fmt: skip


def cause_of(text):
    """Return in a sentence what apt's output says; its own last words if no known cause is among them."""
    for signs, sentence in CAUSES:
        if any(sign in text for sign in signs):
            return sentence
    words = [line.strip() for line in text.splitlines() if line.strip()]
    return words[-1] if words else "apt-get printed nothing"


def install(names):
    """Install packages; return None, or (why not, apt's last lines)."""
    said = ""
    if not lists_are_fresh():
        updated = _apt("update", "-o", "APT::Update::Error-Mode=any")
        said = updated.stdout if updated.returncode else ""
    done = _apt("install", "--yes", "--no-install-recommends", *names)
    if done.returncode == 0:
        return None
    text = said + done.stdout  # what kept the lists from coming is why a package is not known
    return cause_of(text), text.strip().splitlines()[-8:]


def _apt(verb, *arguments):
    for tries in range(LOCK_TRIES):
        done = run("apt-get", "--quiet", *OPTIONS, verb, *arguments)
        if "Could not get lock" not in done.stdout or tries == LOCK_TRIES - 1:
            break
        time.sleep(LOCK_PAUSE_S)
    return done


def running(services):
    """Return those services that run, or are started at boot."""
    return [
        name
        for name in services
        if run("systemctl", "is-active", "--quiet", name).returncode == 0
        or run("systemctl", "is-enabled", name).stdout.strip() in ("enabled", "enabled-runtime")
    ]


def stop(services):
    """Stop services for good; return None, or what systemd says against it."""
    done = run("systemctl", "disable", "--now", *services) if services else None
    return done.stdout.strip() if done is not None and done.returncode else None


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "stopped": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    names, services = module.params["names"], module.params["stopped"]
    try:
        lacking = missing(names) if names else []
        if module.check_mode:
            module.exit_json(changed=bool(lacking or running(services)), installed=[])
        failed = install(lacking) if lacking else None
    except FileNotFoundError as error:
        module.fail_json(
            msg="{0} cannot be looked after: there is no {1} on this host; Debian and Ubuntu are known".format(
                ", ".join(names), error.filename
            )
        )
    still = missing(lacking) if lacking else []
    if failed is None and not still:
        left = running(services)
        said = stop(left)
        if said is not None:
            module.fail_json(msg="{0} cannot be stopped, whose place ours takes: {1}".format(", ".join(left), said))
        module.exit_json(changed=bool(lacking or left), installed=lacking)
    why, log = failed or ("apt-get ended well without it", [])
    named = ", ".join("`{0}`".format(name) for name in still)
    module.fail_json(
        msg="{0} is not installed, and cannot be: {1}. Install it there (`apt-get install {2}`), or give the host a "
        "package source that has it".format(named, why, " ".join(still)),
        log=log,
    )


if __name__ == "__main__":
    main()
