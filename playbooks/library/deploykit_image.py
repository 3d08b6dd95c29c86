#!/usr/bin/python
"""Have an image on this host: podman pulls it in the background, and each call tells in a line how far it is."""

DOCUMENTATION = r"""
module: deploykit_image
short_description: Have a container image
description:
  - An image that is there is not asked for again, also one by tag. Else podman pulls it; every call waits a little and
    tells how far it is, so that the caller asks again until C(done).
  - With state C(tools) it says which packages are missing for that.
options:
  state: {type: str, default: present, choices: [present, tools]}
  image: {type: str, description: Required for C(present).}
  root: {type: path, description: Folder of deploykit on the host; the pull's log is in its folder logs.}
  wait_s: {type: float, default: 5}
"""

import os
import shutil
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_check_container import STORAGE, missing_packages
from ansible.module_utils.deploykit_check_container import podman as check_podman
from ansible.module_utils.deploykit_finding import last_line, run_tool
from ansible.module_utils.deploykit_host import tail, wait_until
from ansible.module_utils.deploykit_processes import birth
from ansible.module_utils.deploykit_releases import read_json, write_json

CAUSES = (
    (("no space left on device", "disk quota exceeded"), "the disk is full: free some space in {storage}"),
    (("unauthorized", "authentication required", "access denied", "denied:"), "the registry wants a login: `sudo podman login REGISTRY` on this host"),
    (("manifest unknown", "not found", "name unknown"), "the registry has no such image: look at its name and its digest or tag"),
    (("no such host", "connection refused", "i/o timeout", "network is unreachable", "server misbehaving", "tls handshake"), "the registry does not answer: connect this host to it, or bring the image with `podman save` and `podman load`"),
)  # fmt: skip

STALE_S = 60
"""A pull that ended longer ago was somebody else's, and is begun again."""


class Pull:
    """A pull by podman, which goes on between the calls; `logs/pull.json` says which process it is."""

    def __init__(self, root, image):
        self.image = image
        self.log = os.path.join(root, "logs", "pull.log")
        self.note = os.path.join(root, "logs", "pull.json")

    def begun(self):
        """Return what is noted of a pull of this image that goes on or has just ended; else None."""
        noted = read_json(self.note) or {}
        if noted.get("image") != self.image:
            return None
        recent = time.time() - os.stat(self.log).st_mtime < STALE_S if os.path.exists(self.log) else False
        return noted if recent or _lives(noted) else None

    def running(self):
        """Return whether podman is at work."""
        noted = self.begun()
        return noted is not None and _lives(noted)

    def start(self):
        """Begin; the process is its own session, so that it does not end with this call."""
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        command = ["podman", "pull", self.image]
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        noted = {"image": self.image, "pid": process.pid, "birth": birth(process.pid), "free": _free()}
        write_json(self.note, dict(noted, began=time.time()))

    def progress(self):
        """Return in a line how far it is."""
        noted = self.begun() or {}
        layers = {line.split()[2] for line in tail(self.log, 400) if line.startswith("Copying blob ")}
        written = max(0.0, noted.get("free", 0) - _free()) / 1e9
        seconds = time.time() - noted.get("began", time.time())
        return "{0}: {1} layers, {2:.1f} GB written, {3:.0f} s".format(self.image, len(layers), written, seconds)

    def why(self):
        """Return in a sentence why it failed."""
        said = "\n".join(tail(self.log, 30))
        for signs, mend in CAUSES:
            if any(sign in said.lower() for sign in signs):
                return "{0}. It said: {1}".format(mend.format(storage=STORAGE), last_line(said))
        return "podman said: {0}".format(last_line(said) or "nothing")

    def forget(self):
        """Let the next call begin anew."""
        if os.path.exists(self.note):
            os.unlink(self.note)


def _lives(noted):
    return noted["birth"] is not None and birth(noted["pid"]) == noted["birth"]


def _free():
    return shutil.disk_usage(STORAGE if os.path.isdir(STORAGE) else "/").free


def digest_of(image):
    """Return the digest of an image that is on this host; None if it is not, empty if podman knows none."""
    found = run_tool("podman", "image", "inspect", "--format", "{{.Digest}}", image)
    return found.text.strip() if found.ran else None


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "default": "present", "choices": ["present", "tools"]},
            "image": {"type": "str"},
            "root": {"type": "path"},
            "wait_s": {"type": "float", "default": 5},
        },
        required_if=[("state", "present", ("image", "root"))],
        supports_check_mode=True,
    )
    if module.params["state"] == "tools":
        module.exit_json(changed=False, missing=missing_packages())
    image, pull = module.params["image"], Pull(module.params["root"], module.params["image"])
    version = check_podman(run_tool("podman", "--version"), run_tool("apt-cache", "policy", "podman"))
    if version["severity"] == "blocker" and not module.check_mode:
        module.fail_json(msg="podman: {0}: {1}".format(version["evidence"], version["mend"]))
    digest = digest_of(image) if not pull.running() else None
    begun = pull.begun() is not None
    changed = begun or digest is None
    if digest is None and module.check_mode:
        module.exit_json(changed=True)
    if digest is None:
        try:
            if not begun:
                pull.start()
        except OSError as error:
            module.fail_json(msg="podman does not run: {0}".format(error.strerror or error))
        if not wait_until(lambda: not pull.running(), module.params["wait_s"]):
            module.exit_json(changed=True, done=False, msg=pull.progress())
        digest = digest_of(image)
    pull.forget()
    if digest is None:
        module.fail_json(msg="the image {0} cannot be had: {1}".format(image, pull.why()), log=tail(pull.log, 15))
    module.exit_json(changed=changed, done=True, digest=digest, deploykit_result={"image_digest": digest or None})


if __name__ == "__main__":
    main()
