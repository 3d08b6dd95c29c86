#!/usr/bin/python
"""Hold the weights on this host against what is locked, and let a worker bring them there; tell how far it is."""

DOCUMENTATION = r"""
module: deploykit_weights
short_description: Have exactly the locked weights on a host
description:
  - With state `checked` nothing is changed and no file is read whose digest was verified before.
  - With state `present` a worker fetches and verifies in the background; every call waits a little and tells how far
    it is, so that the caller asks again until `done`. A worker that nobody asks about ends by itself.
options:
  state: {type: str, default: present, choices: [checked, present]}
  root: {type: path, required: true, description: "Folder of deploykit on the host; weights are in its folder models."}
  lock: {type: dict, required: true, description: "What is locked: repositories, each with repo, revision and files of path, size and sha256."}
  sources: {type: list, elements: dict, default: [], description: "Where files come from, in order: peer, folder, mirror, hub."}
  arrived: {type: bool, default: false, description: Whether files were sent here already and need only be verified.}
  python: {type: path, description: The Python that runs the worker; the hub needs one with huggingface_hub.}
  parallel: {type: int, default: 8}
  verify: {type: bool, default: false, description: Read every file again, whatever was verified before.}
  wait_s: {type: float, default: 5}
  token: {type: str, description: Token for the model hub.}
"""

import fcntl
import hashlib
import json
import os
import subprocess
import time

from ansible.module_utils import deploykit_weights as weights
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import tail

STALE_S = 60
"""A job that ended longer ago was somebody else's, and is begun again."""


class WorkerError(Exception):
    """The worker does not run; the text says why."""


class Worker:
    """The background process of this host, by the files it leaves in `ROOT/weights`."""

    def __init__(self, root):
        self.folder = os.path.join(root, "weights")
        self.script = os.path.join(self.folder, "fetch.py")
        self.job = os.path.join(self.folder, "job.json")
        self.status = os.path.join(self.folder, "status.json")
        self.wanted = os.path.join(self.folder, "wanted")
        self.lock = os.path.join(self.folder, "lock")
        self.log = os.path.join(self.folder, "fetch.log")

    def busy(self):
        """Return whether a worker is at work."""
        try:
            with open(self.lock, "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False

    def told(self):
        """Return the last status, or an empty one."""
        return _json(self.status)

    def ended(self, job_id):
        """Return, once, the last status of a job that has just ended; None while it goes on, or if it ended long ago."""
        found = self.told()
        if _json(self.job).get("id") != job_id or found.get("state") not in ("done", "failed") or self.busy():
            return None
        age = time.time() - os.stat(self.status).st_mtime
        os.unlink(self.status)
        return found if age < STALE_S else None

    def give_up(self):
        """Let a worker that is at work end: a disk that has filled up under it would only be filled further."""
        if self.busy():
            os.utime(self.wanted, (0, 0))  # nobody has asked for it for long

    def start(self, job, python, token):
        """Start a worker for a job; its token is in its environment alone. Raises WorkerError if it does not start."""
        if os.path.exists(self.status):
            os.unlink(self.status)
        weights.write_json(self.job, job)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        if token:
            environment["HF_TOKEN"] = token
        with open(self.log, "wb") as log:
            done = subprocess.run(
                [python, self.script, self.job], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True, check=False,
            )  # fmt: skip
        if done.returncode or not (self.told() or self.busy()):
            raise WorkerError("the download does not start: " + " ".join(tail(self.log, 3)))


KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
        "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")  # fmt: skip


def _json(path):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def look(repositories, verify):
    """Return (files to fetch or read, each with how much of it has arrived; bytes to be written). Raises NotLockedError."""
    todo, wanted = [], 0
    for repository in repositories:
        folder = repository["folder"]
        weights.refuse_foreign(repository)
        verified = {} if verify else weights.read_manifest(folder)
        files = weights.unverified(repository, verified)
        for locked in files:
            partial = weights.partial_path(folder, locked["path"])
            todo.append({
                "repo": repository["repo"], "revision": repository["revision"], "path": locked["path"],
                "size": locked["size"], "partial": partial, "have": weights.size_of(partial),
                "there": weights.size_of(weights.final_path(folder, locked["path"])) == locked["size"],
            })  # fmt: skip
        wanted += weights.bytes_wanted(repository, files)
    return todo, wanted


def job_of(params, repositories, worker):
    """Return the worker's job. Its name is made of all it holds, so that another wish is another job."""
    job = {name: params[name] for name in ("sources", "arrived", "parallel", "verify")}
    job.update(repositories=repositories, status=worker.status, wanted=worker.wanted, lock=worker.lock)
    job["id"] = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
    return job


def sentence(status, seconds, before):
    """Return how far a worker is, for people."""
    done, total = status.get("done", 0), status.get("total", 0)
    text = "weights: {0} of {1} GB".format(weights.gb(done), weights.gb(total))
    rate = (done - before) / seconds if seconds > 0 and before is not None else 0
    if rate > 0:
        text += ", {0} GB/s, {1}".format(weights.gb(rate), _duration((total - done) / rate))
    return text


def _duration(seconds):
    minutes = int(seconds // 60)
    return (
        "{0} h {1} min left".format(minutes // 60, minutes % 60)
        if minutes >= 60
        else "{0} min left".format(minutes + 1)
    )


def step(params, repositories, todo):
    """Start a worker if none does this job, wait a little, and return (done, error, notes, files placed, message)."""
    worker = Worker(params["root"])
    os.makedirs(worker.folder, exist_ok=True)
    job = job_of(params, repositories, worker)
    with open(worker.wanted, "w"):
        pass
    ended = worker.ended(job["id"])
    if ended is None and not worker.busy():
        if not (todo or params["verify"]):
            return True, None, [], 0, "verified before"
        worker.start(job, params["python"], params["token"])
    began, before = time.time(), worker.told().get("done")
    while ended is None and time.time() - began < params["wait_s"]:
        time.sleep(0.2)
        ended = worker.ended(job["id"])
    if ended is not None:
        return ended["state"] == "done", ended["error"], ended["notes"], ended["placed"], "verified"
    status = worker.told()
    return False, None, status.get("notes", []), 0, sentence(status, time.time() - began, before)


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "default": "present", "choices": ["checked", "present"]},
            "root": {"type": "path", "required": True},
            "lock": {"type": "dict", "required": True},
            "sources": {"type": "list", "elements": "dict", "default": []},
            "arrived": {"type": "bool", "default": False},
            "python": {"type": "path"},
            "parallel": {"type": "int", "default": 8},
            "verify": {"type": "bool", "default": False},
            "wait_s": {"type": "float", "default": 5},
            "token": {"type": "str", "no_log": True},
        },
        required_if=[("state", "present", ("python",))],
        supports_check_mode=True,
    )
    params = module.params
    repositories = weights.located(params["lock"], params["root"])
    try:
        todo, wanted = look(repositories, params["verify"])
        full = weights.no_room(os.path.join(params["root"], "models"), wanted)
        if full:
            if params["state"] == "present" and not module.check_mode:
                Worker(params["root"]).give_up()
            module.fail_json(msg=full, done=True)
        if params["state"] == "checked" or module.check_mode:
            changed = params["state"] == "present" and bool(todo)
            module.exit_json(changed=changed, complete=not todo, todo=todo, done=True, missing_bytes=wanted)
        done, error, notes, placed, message = step(params, repositories, todo)
    except (weights.NotLockedError, WorkerError) as error:
        module.fail_json(msg=str(error), done=True)
    except OSError as error:
        module.fail_json(msg="{0}: {1}".format(error.filename or params["root"], error.strerror or error), done=True)
    if error:
        module.fail_json(msg="\n".join([error, *notes]), notes=notes, done=True)
    told = {"weights": notes} if done and notes else {}
    module.exit_json(changed=placed > 0, done=done, notes=notes, msg=message, deploykit_result=told)


if __name__ == "__main__":
    main()
