#!/usr/bin/python
"""Read the counters of this host's engines where they listen: behind a gateway that is on loopback alone."""

DOCUMENTATION = r"""
module: deploykit_counters
short_description: The engines' counters
description: Changes nothing. An engine that does not answer is told with the reason, and is no failure.
options:
  instances: {type: list, elements: dict, required: true, description: The engines of this host.}
  names: {type: list, elements: str, required: true, description: The samples that are wanted of the engines' metrics.}
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import request


def wanted(text, names):
    """Return the lines of these samples, in Prometheus' text format: an engine has a thousand others."""
    begins = re.compile(r"(?:{0})[ {{]".format("|".join(map(re.escape, names))))
    return "".join(line + "\n" for line in text.splitlines() if begins.match(line))


def read(instance, names):
    """Return what one engine says, or why it says nothing."""
    status, said = request(instance["port"], "/metrics", timeout=10.0)
    found = {"name": instance["name"], "port": instance["port"], "metrics": None, "why": None}
    if status == 200:
        return dict(found, metrics=wanted(said, names))
    return dict(found, why="HTTP {0}".format(status) if status else said)


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "dict", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    # Of an engine over several nodes the first process alone listens, and counts for all.
    listening = [instance for instance in module.params["instances"] if not instance["headless"]]
    found = [read(instance, module.params["names"]) for instance in listening]
    module.exit_json(changed=False, deploykit_result={"counters": found})


if __name__ == "__main__":
    main()
