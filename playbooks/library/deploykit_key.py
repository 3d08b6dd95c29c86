#!/usr/bin/python
"""Give the engines of this host the key that they ask for: one that is given, or one of their own, made here."""

DOCUMENTATION = r"""
module: deploykit_key
short_description: The engines' API key
description:
  - Without C(key) a key is made, unless the host has one that was made before; it is returned as C(key).
options:
  root: {type: path, required: true}
  key: {type: str, description: The key to take; empty for engines that ask for none.}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_keys import OURS, engine_key, env_file, env_text, new_key


def chosen(root, given):
    """Return the key that the engines shall ask for. A caller's key from an earlier release is none of their own."""
    if given is not None:
        return given
    there = engine_key(root)
    return there if there.startswith(OURS) else new_key()


def place(root, key):
    """Write the file of the key if it is another one, whole and readable by its owner alone; return whether it was."""
    path, text = env_file(root), env_text(key)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text and os.stat(path).st_mode & 0o777 == 0o600:
                return False
    except OSError:
        pass
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    os.replace(path + ".new", path)
    return True


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "required": True}, "key": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )
    root, given = module.params["root"], module.params["key"]
    key = chosen(root, given)
    try:
        changed = key != engine_key(root) if module.check_mode else place(root, key)
    except OSError as error:
        module.fail_json(msg="{0}: {1}".format(error.filename or root, error.strerror or error))
    module.exit_json(changed=changed, **({"key": key} if given is None else {}))


if __name__ == "__main__":
    main()
