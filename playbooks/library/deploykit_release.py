#!/usr/bin/python
"""Place a release: the bundle's files under its digest, the link to the weights, and `current` pointing at it."""

DOCUMENTATION = r"""
module: deploykit_release
short_description: Place a bundle on a host, whole or not at all
description:
  - Every file is compared by digest on every run, and the whole with the release's name.
  - The action plugin of the same name reads the option `bundle`, a folder of the controller, into `files`.
options:
  root: {type: path, required: true}
  release: {type: str, required: true, description: The bundle's digest.}
  files: {type: dict, required: true}
  weights: {type: path, required: true}
  draft: {type: str, default: ""}
  current: {type: bool, default: true, description: Whether `current` shall point at the release.}
"""

import hashlib
import os
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

NOT_IN_DIGEST = ("manifest.json",)

FOLDERS = {"logs": 0o755, "supervisor": 0o700, "secrets": 0o700}
"""What else a release needs in the root, with its mode."""
METRICS = "metrics"
"""What an `up` that waits for an engine leaves there, for the node exporter to read, keeps EngineDown silent."""


def digest_of(files):
    """Return the digest of a bundle: SHA-256 over the sorted lines `sha256  path`, as sha256sum prints them."""
    lines = [
        "{0}  {1}\n".format(hashlib.sha256(files[path].encode()).hexdigest(), path)
        for path in sorted(files)
        if path not in NOT_IN_DIGEST
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def differs(folder, files):
    """Return the paths whose content on disk is not the bundle's."""
    wrong = []
    for path, content in sorted(files.items()):
        try:
            with open(os.path.join(folder, path), "rb") as file:
                same = file.read() == content.encode()
        except OSError:
            same = False
        if not same:
            wrong.append(path)
    return wrong


def write(folder, files):
    """Write the files into a new folder beside the right one, then exchange it."""
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    fresh = tempfile.mkdtemp(prefix=".bundle-", dir=parent)
    try:
        os.chmod(fresh, 0o755)  # noqa: S103 - the engine is another user there, and reads it
        for path, content in files.items():
            target = os.path.join(fresh, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="utf-8", newline="") as file:
                file.write(content)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def points_at(link, target):
    """Return whether a link exists and points at a target."""
    return os.path.islink(link) and os.readlink(link) == target


def relink(link, target):
    """Make a link point at a target; there is no moment without one."""
    fresh = link + ".new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(target, fresh)
    os.replace(fresh, link)


def links_of(root, folder, params):
    """Return the links a release has, and what each points at."""
    links = {os.path.join(folder, "model"): params["weights"]}
    if params["draft"]:
        links[os.path.join(folder, "draft")] = params["draft"]
    if params["current"]:
        links[os.path.join(root, "current")] = os.path.join("releases", params["release"][:12])
    return links


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "files": {"type": "dict", "required": True},
            "weights": {"type": "path", "required": True},
            "draft": {"type": "str", "default": ""},
            "current": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    root, release, files = module.params["root"], module.params["release"], module.params["files"]
    found = digest_of(files)
    if found != release:
        module.fail_json(msg="the bundle's files give {0}, not {1}: render it again".format(found[:12], release[:12]))
    folder = os.path.join(root, "releases", release[:12])
    links = links_of(root, folder, module.params)
    wrong = differs(os.path.join(folder, "bundle"), files)
    folders = [(os.path.join(root, name), mode) for name, mode in FOLDERS.items()]
    if not module.params["current"]:  # its units are installed when it is switched to
        folders += [(os.path.join(folder, "units"), 0o755), (os.path.join(root, METRICS), 0o755)]
    moved = [link for link, target in sorted(links.items()) if not points_at(link, target)]
    if not module.check_mode:
        try:
            for path, mode in folders:
                if not os.path.isdir(path):
                    os.makedirs(path, mode)
                    os.chmod(path, mode)
            if wrong:
                write(os.path.join(folder, "bundle"), files)
            for link in moved:
                relink(link, links[link])
        except OSError as error:
            module.fail_json(msg="cannot place the release in {0}: {1}".format(folder, error.strerror or error))
    names = [os.path.relpath(link, root) for link in moved]
    module.exit_json(changed=bool(wrong or moved), files=wrong, links=names, directory=folder)


if __name__ == "__main__":
    main()
