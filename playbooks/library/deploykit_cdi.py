#!/usr/bin/python
"""Name the GPUs of this host for containers, with NVIDIA's container toolkit, unless they are named already."""

DOCUMENTATION = r"""
module: deploykit_cdi
short_description: Have every GPU named for containers
description:
  - Asks C(nvidia-ctk cdi list); where a GPU is missing, or the file is of another driver, C(nvidia-ctk cdi generate) makes it again.
options:
  gpus: {type: int, required: true, description: GPUs that must be named.}
"""

import os

from ansible.module_utils import deploykit_check_container as check
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_finding import read_file, run_tool


def missing(gpus):
    """Return the GPUs that are not named; all of them where the toolkit cannot say."""
    listed = run_tool("nvidia-ctk", "cdi", "list")
    return check.lacking(listed.text if listed.ran else "", gpus)


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"gpus": {"type": "int", "required": True}}, supports_check_mode=True)
    gpus = module.params["gpus"]
    path, text = check.specification()
    if not missing(gpus) and not check.is_stale(text, read_file(check.DRIVER).text.strip()):
        module.exit_json(changed=False)
    if module.check_mode:
        module.exit_json(changed=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    made = run_tool("nvidia-ctk", "cdi", "generate", "--output=" + path)
    if not made.ran:
        module.fail_json(msg="the GPUs cannot be named for containers: {0}. {1}".format(made.why, check.TOOLKIT))
    left = missing(gpus)
    if left:
        module.fail_json(
            msg="{0} is not among the devices that NVIDIA's container toolkit names: look at `nvidia-smi -L` and "
            "`nvidia-ctk cdi list`".format(left[0])
        )
    module.exit_json(changed=True, file=path)


if __name__ == "__main__":
    main()
