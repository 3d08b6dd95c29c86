#!/usr/bin/python
"""Change the release that a host serves, so that the one before can come back: lock, look, switch, finish, or give up."""

DOCUMENTATION = r"""
module: deploykit_deployment
short_description: The steps around the change of a release
description:
  - C(begin) takes the deploy lock, looks at what is there, and remembers what served.
  - C(switch) installs a release's units, points C(current) at it and starts its engines.
  - C(finish) keeps what lies on the host now as what served, removes old releases, and frees the lock.
  - C(abandon) ends a change that failed; where something had been switched it says which release to go back to.
  - C(read) changes nothing. C(stopped) notes in the audit log that the engines were stopped, and frees the lock.
options:
  state: {type: str, required: true, choices: [begin, switch, finish, abandon, read, stopped]}
  root: {type: path, required: true}
  holder: {type: dict, default: {}, description: "Who is at work: user, host, pid, boot, since, what, token."}
  instead_of: {type: str, description: The token of a lock's holder that is dead.}
  release: {type: str, default: "", description: The bundle's digest.}
  wanted: {type: str, default: "", description: A digest over all that the playbooks would bring the host to.}
  only: {type: list, elements: str, default: [], description: Engines to switch; the others stay as they are.}
  serves: {type: dict, default: {}, description: "What is to serve here: deployment, model, instances, services."}
  restart: {type: bool, default: false, description: Restart what runs already; its files have changed under it.}
  event: {type: str, default: up}
  keep: {type: int, default: 3}
  files: {type: bool, default: false, description: Return the bundle's files too.}
"""

import contextlib
import glob
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_keys import salt_of, salted
from ansible.module_utils.deploykit_logs import UNIT
from ansible.module_utils.deploykit_releases import (
    audit,
    current,
    digests,
    drift,
    files_of,
    folder_of,
    free_lock,
    history,
    installed,
    is_container,
    is_ours,
    observed,
    place_of,
    prune,
    read_json,
    release_of,
    service_of,
    show,
    take_lock,
    units_in,
    write_json,
)

SAVED = "before"


class Host:
    """A host's folder, and the change under way on it."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.root, self.holder = module.params["root"], module.params["holder"]
        self.name = module.params["release"][:12]
        self.folder = folder_of(self.root, self.name)
        self.pending_file = os.path.join(self.root, "pending.json")
        self.pending = read_json(self.pending_file)

    def begin(self):
        """Take the lock; return whether anything has to be done, and what served."""
        for path, mode in ((self.root, 0o755), (os.path.join(self.root, "releases"), 0o755)):
            if not os.path.isdir(path):
                os.makedirs(path, mode)
        held = take_lock(self.root, self.holder, self.params["instead_of"])
        if held is not None:
            self.module.fail_json(msg="another deploykit is at work on this host", held_by=held)
        self._refuse_another_deployment()
        same, serving = self._same_engines(), self._any_serves(self._served_last())
        differs = self._differs()
        settled = not differs and self.params["event"] == "up"
        if not settled:
            before = self.pending["previous"] if self.pending else current(self.root)
            if not self.pending and not self._serves(before):
                before = None
            switched = bool(self.pending and self.pending.get("switched"))
            self._save_secrets(fresh=not switched)
            self._note(release=self.name, previous=before, switched=switched)
            audit(self.root, self.holder, self.params["event"] + " begins", release=self.name, previous=before)
        return {"changed": False, "differs": differs, "settled": settled, "same_engines": same, "serving": serving}

    def _refuse_another_deployment(self):
        """Fail if what serves here belongs to another deployment: a host has one, and its units one name."""
        name = self._served_last()
        serves = self._told(name).get("deployment")
        wanted = self.params["serves"].get("deployment")
        if not serves or not wanted or serves == wanted or not self._serves(name):
            return
        free_lock(self.root, self.holder["token"])
        self.module.fail_json(
            msg="this host serves the deployment `{0}` (release {1}), and this is `{2}`. `deploykit down {0}` first, or, "
            "if it is to take its place, `name: {0}` in deploykit.yaml".format(serves, name, wanted)
        )

    def _served_last(self):
        """Return the release that answered last; of a change that was cut off after it had switched, the one before."""
        return self.pending.get("previous") if self.pending and self.pending.get("switched") else current(self.root)

    def _told(self, name):
        """Return what was to serve with a release that has answered."""
        served = name and read_json(os.path.join(folder_of(self.root, name), "served.json"))
        return (served or {}).get("serves") or {}

    def _same_engines(self):
        """Return whether the engines that served last are, but for their release, those that are wanted."""
        before, wanted = self._told(self._served_last()), self.params["serves"]
        return bool(wanted) and all(before.get(what) == wanted.get(what) for what in ("model", "instances"))

    def _any_serves(self, name):
        """Return whether one of a release's engines is up; they have the same names in every release."""
        return any(show(unit).get("ActiveState") == "active" for unit in self._engines(name))

    def _engines(self, name):
        """Return the services of a release's engines on this host, if it has answered."""
        return [UNIT.format(engine["name"]) for engine in self._told(name).get("instances") or []]

    def _serves(self, name):
        """Return whether a release has answered and its engines are up: what was down is not brought back."""
        engines = self._engines(name)
        return bool(engines) and all(show(unit).get("ActiveState") == "active" for unit in engines)

    def _differs(self):
        if current(self.root) != self.name:
            return ["release {0} is current".format(current(self.root) or "none")]
        if self.pending is not None:
            return ["a change was not finished"]
        served = read_json(os.path.join(self.folder, "served.json")) or {}
        found = drift(self.root, self.name)
        return found or ([] if served.get("wanted") == self._wanted() else ["other variables, key or roles"])

    def _wanted(self, create=False):
        """Return what is wanted as it may be kept: callers' keys are part of it, and a bare digest could be guessed at."""
        return salted(salt_of(self.root, create), self.params["wanted"])

    def _note(self, **pending):
        self.pending = pending
        write_json(self.pending_file, pending)

    def _save_secrets(self, fresh):
        """Keep the keys that the release has served with: another key may be what breaks it."""
        secrets = os.path.join(self.root, "secrets")
        saved = os.path.join(secrets, SAVED)
        if os.path.isdir(secrets) and (fresh or not os.path.isdir(saved)):
            shutil.rmtree(saved, ignore_errors=True)
            os.makedirs(saved, 0o700)
            for path in glob.glob(os.path.join(secrets, "*.env")):
                shutil.copy2(path, saved)

    def switch(self):
        """Install the units, point `current` at the release, start what does not run from it."""
        units = units_in(os.path.join(self.folder, "units"))
        if not units:
            self.module.fail_json(msg="release {0} has no units on this host".format(self.name))
        if self.params["only"]:
            units = [unit for unit in units if service_of(unit) in map(UNIT.format, self.params["only"])]
        self._note(release=self.name, previous=(self.pending or {}).get("previous"), switched=True)
        if self.params["event"] == "restore":
            again = self._restore_secrets()
        else:
            again = self.params["restart"] or self._other_secrets()
        # One engine after the other is switched where all of them stay the same but for their release.
        gone = [] if self.params["only"] else self._remove_others({os.path.basename(unit) for unit in units})
        fresh = [unit for unit in units if not self._installed(unit)]
        for unit in fresh:
            target = place_of(unit)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(unit, target + ".new")
            os.replace(target + ".new", target)
        if fresh or gone:
            self._systemctl("daemon-reload")
        moved = self._relink()
        names = [service_of(unit) for unit in units]
        changed = {service_of(unit) for unit in fresh}
        start = [name for name in names if again or name in changed or not self._runs_here(name)]
        if start:
            self._systemctl("reset-failed", *start, check=False)
            lasting = [service_of(unit) for unit in units if not is_container(unit)]
            if lasting:  # podman's own start at boot as long as they are installed
                self._systemctl("enable", "--quiet", *lasting)
            self._systemctl("restart", "--no-block", *start)
        return {"changed": bool(start or moved or gone), "started": start, "removed": gone}

    def _other_secrets(self):
        saved = os.path.join(self.root, "secrets", SAVED)
        if not os.path.isdir(saved):
            return False
        both = [glob.glob(os.path.join(at, "*.env")) for at in (saved, os.path.dirname(saved))]
        before, now = ({os.path.basename(path): digest for path, digest in digests(found).items()} for found in both)
        return before != now

    def _restore_secrets(self):
        saved = os.path.join(self.root, "secrets", SAVED)
        before = {os.path.basename(path): path for path in glob.glob(os.path.join(saved, "*.env"))}
        changed = False
        for name, path in before.items():
            target = os.path.join(self.root, "secrets", name)
            if list(digests([path]).values()) != list(digests([target]).values()):
                shutil.copy2(path, target)
                changed = True
        return changed

    def _installed(self, unit):
        there = place_of(unit)
        return len(set(digests([unit, there]).values())) == 1 and os.path.isfile(there)

    def _remove_others(self, wanted):
        """Stop and remove engines that the release does not have; and when going back, whatever it did not have."""
        gone = []
        for path in installed():
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as file:
                engine = is_container(name) or "/bin/vllm serve " in file.read()
            if name not in wanted and (engine or self.params["event"] != "up"):
                self._remove(path)
                gone.append(name)
        return gone

    def _remove_services(self):
        """Remove what an earlier deployment had here besides engines and this one has not, as monitoring it was told off."""
        wanted = self.params["serves"].get("services")
        if wanted is None:
            return
        engines = [engine["name"] for engine in self.params["serves"].get("instances") or []]
        kept = {UNIT.format(name) for name in [*wanted, *engines]}
        gone = [path for path in installed() if service_of(path) not in kept]
        for path in gone:
            self._remove(path)
        if gone:
            self._systemctl("daemon-reload")

    def _remove(self, path):
        stop = ("stop",) if is_container(path) else ("disable", "--now")
        self._systemctl(*stop, "--quiet", service_of(path), check=False)
        os.unlink(path)

    def _relink(self):
        if current(self.root) == self.name:
            return False
        link = os.path.join(self.root, "current")
        with contextlib.suppress(OSError):
            os.unlink(link + ".new")
        os.symlink(os.path.join("releases", self.name), link + ".new")
        os.replace(link + ".new", link)
        return True

    def _runs_here(self, unit):
        state = show(unit)
        if state.get("ActiveState") != "active":
            return False
        return release_of(unit, state["MainPID"], self.root) in (self.name, None)

    def _systemctl(self, *arguments, check=True):
        code, _out, err = self.module.run_command(["systemctl", *arguments])
        if code and check:
            self.module.fail_json(msg="systemctl {0}: {1}".format(" ".join(arguments), err.strip()))

    def finish(self):
        """Keep what has answered, remove what is old, free the lock."""
        removed = []
        if self.pending is not None:
            self._remove_services()
            units = os.path.join(self.folder, "units")
            shutil.rmtree(units, ignore_errors=True)
            os.makedirs(units)
            for path in installed():
                shutil.copyfile(path, os.path.join(units, os.path.basename(path)))
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            served = {"at": now, "wanted": self._wanted(create=True), "release": self.params["release"]}
            served["serves"] = self.params["serves"]
            served["observed"] = observed(self.root, self.name)
            write_json(os.path.join(self.folder, "served.json"), served, 0o600)
            os.unlink(self.pending_file)
            shutil.rmtree(os.path.join(self.root, "secrets", SAVED), ignore_errors=True)
            previous = self.pending.get("previous")
            removed = prune(self.root, self.params["keep"], [name for name in (self.name, previous) if name])
            audit(self.root, self.holder, self.params["event"], release=self.name, previous=previous)
        free_lock(self.root, self.holder["token"])
        return {"changed": False, "removed": removed}

    def abandon(self):
        """End a change that failed; say what to go back to if something had been switched."""
        if not is_ours(self.root, self.holder["token"]):
            return {"changed": False, "deploykit_result": {"restore": None, "switched": False}}
        pending = self.pending or {}
        back = pending.get("previous") if pending.get("switched") else None
        audit(self.root, self.holder, self.params["event"] + " failed", release=pending.get("release"), previous=back)
        if back is None:
            with contextlib.suppress(OSError):
                os.unlink(self.pending_file)
            self._restore_secrets()
            free_lock(self.root, self.holder["token"])
        switched = bool(pending.get("switched"))
        return {
            "changed": False,
            "deploykit_result": {"restore": self._about(back) if back else None, "switched": switched},
        }

    def stopped(self):
        """Note that the engines were stopped, and free the lock."""
        with contextlib.suppress(OSError):
            os.unlink(self.pending_file)
        shutil.rmtree(os.path.join(self.root, "secrets", SAVED), ignore_errors=True)
        audit(self.root, self.holder, "down", release=current(self.root))
        free_lock(self.root, self.holder["token"])
        return {"changed": False}

    def read(self):
        """Say what serves, what served before, how the host has drifted, and who is at work."""
        name = current(self.root)
        found = {
            "current": name, "pending": self.pending, "drift": drift(self.root, name),
            "lock": read_json(os.path.join(self.root, "lock", "holder.json")),
            "releases": [dict(self._about(release), at=at) for release, at in history(self.root)],
        }  # fmt: skip
        if self.params["files"] and name:
            bundle = os.path.join(folder_of(self.root, name), "bundle")
            found["files"] = {os.path.relpath(path, bundle): _text(path) for path in files_of(bundle)}
        return {"changed": False, "deploykit_result": {"releases_here": found}}

    def _about(self, name):
        served = read_json(os.path.join(folder_of(self.root, name), "served.json")) or {}
        variables = _text(os.path.join(folder_of(self.root, name), "bundle", "ansible", "vars.yaml"))
        return {"name": name, "release": served.get("release", name), "variables": variables}


def _text(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str", "required": True,
                "choices": ["begin", "switch", "finish", "abandon", "read", "stopped"],
            },
            "root": {"type": "path", "required": True},
            "holder": {"type": "dict", "default": {}, "no_log": False},
            "instead_of": {"type": "str", "no_log": False},
            "release": {"type": "str", "default": ""},
            "wanted": {"type": "str", "default": "", "no_log": True},
            "only": {"type": "list", "elements": "str", "default": []},
            "serves": {"type": "dict", "default": {}},
            "restart": {"type": "bool", "default": False},
            "event": {"type": "str", "default": "up"},
            "keep": {"type": "int", "default": 3},
            "files": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )  # fmt: skip
    state = module.params["state"]
    if module.check_mode and state != "read":
        module.exit_json(changed=False, settled=False)
    try:
        result = getattr(Host(module), state)()
    except OSError as error:
        module.fail_json(msg="{0}: {1}".format(error.filename or module.params["root"], error.strerror or error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
