#!/usr/bin/python
"""Install the engine into an environment of its own, from the first source that answers; whole or not at all."""

DOCUMENTATION = r"""
module: deploykit_install
short_description: Install the engine with uv
description:
  - Makes the environment under a temporary name and renames it when it is complete. uv keeps what it fetched,
    so that an interrupted installation goes on where it was.
options:
  uv: {type: path, required: true}
  environment: {type: path, required: true, description: The folder to make.}
  kind: {type: str, required: true, choices: [cpu, cuda]}
  version: {type: str, required: true}
  package: {type: str, default: vllm, description: The package that must have that version afterwards.}
  python: {type: str, required: true, description: "Version, such as 3.12."}
  sources: {type: list, elements: dict, required: true}
  lock: {type: path, description: Lock file with hashes for sources that are indexes.}
  wheels: {type: path, description: "Folder of wheels and their lock: they are installed, and no network is asked."}
  home: {type: path, description: Folder for uv's cache and Pythons; without it uv's own.}
  shims: {type: path, description: Folder of small additions for builds that need them.}
  log: {type: path, required: true}
  probe_s: {type: float, default: 5}
"""

import filecmp
import glob
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import tail

CAUSES = (
    (("not found in the provided package locations", "network was disabled"), "there is no network to be asked, and a wheel is not in the bundle: bundle again"),
    (("No space left on device", "os error 28", "Disk quota exceeded"), "the disk is full; nothing was left behind: free some space and run this again"),
    (("dns error", "error sending request", "Failed to fetch", "Connection refused", "client error (Connect)", "timed out", "tunnel"), "a package index does not answer: connect this machine to the network, or bring the wheels in a folder and name it in UV_FIND_LINKS"),
    (("No interpreter found",), "there is no such Python here and none can be downloaded: install it"),
    (("Hash mismatch",), "a package is not the one that was locked: do not install it; look at your package index, or bring the bundle once more"),
)  # fmt: skip

WHEELS_LOCK = "requirements.lock"
"""Which wheels there are in a bundle, with their hashes (deploykit/workflows/air_gap.py)."""


class NotInstalledError(Exception):
    """A step that failed, in a sentence."""


def cause_of(lines):
    """Return in a sentence what uv's output says; its own last words if no known cause is among them."""
    text = "\n".join(lines)
    for signs, sentence in CAUSES:
        if any(sign in text for sign in signs):
            return sentence
    words = [line.strip() for line in lines if line.strip()]
    return words[-1] if words else "it printed nothing"


def probe(url, seconds):
    """Return None if an address answers, else why not. A name server that hangs counts as no answer."""
    result = ["no answer within {0:g} s".format(seconds)]

    def ask():
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3):  # noqa: S310 - https of the profile
                result[0] = None
        except urllib.error.HTTPError as error:
            result[0] = "HTTP {0}".format(error.code) if error.code in (404, 410) or error.code >= 500 else None
        except (OSError, ValueError) as error:
            result[0] = str(getattr(error, "reason", error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return result[0]


def pip_arguments(source, kind, lock, torch_answers):
    """Return uv's arguments that install from a source."""
    arguments = ["--torch-backend", "cpu"] if kind == "cpu" and torch_answers else []
    if source["kind"] == "wheel":
        return [*arguments, "{0} @ {1}".format(source["requirement"].split("==")[0], source["url"])]
    if source.get("url"):
        arguments += ["--extra-index-url", source["url"]]
    if lock:
        return [*arguments, "--no-deps", "--require-hashes", "--requirement", lock]
    return [*arguments, source["requirement"]]


def packages_of(environment):
    """Return the folder of an environment's packages."""
    (packages,) = glob.glob(os.path.join(environment, "lib", "python3*", "site-packages"))
    return packages


def missing_shims(packages, shims):
    """Return what of a folder of small additions is not in an environment yet, as (source, target).

    Metadata named `vllm` is for builds of another name alone: their command looks itself up by it.
    """
    named = [path for path in glob.glob(os.path.join(packages, "vllm-[0-9]*.dist-info")) if not _is_shim(path)]
    missing = []
    for folder, _, names in os.walk(shims):
        inside = os.path.relpath(folder, shims)
        if folder.endswith("__pycache__") or (inside.startswith("vllm-") and named):
            continue
        for name in names:
            source, target = os.path.join(folder, name), os.path.normpath(os.path.join(packages, inside, name))
            if not os.path.isfile(target) or not filecmp.cmp(source, target, shallow=False):
                missing.append((source, target))
    return missing


def _is_shim(path):
    return not os.path.exists(os.path.join(path, "top_level.txt")) and "deploykit" in "".join(
        tail(os.path.join(path, "INSTALLER"), 1)
    )


def add_shims(missing):
    """Put small additions into an environment."""
    for source, target in missing:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)


class Installer:
    """One installation: its arguments, and the temporary folder it works in."""

    def __init__(self, params):
        self.params = params
        self.folder = params["environment"] + ".partial"

    def run(self):
        """Try the sources in order; return the one that worked, and why those before it did not."""
        passed = []
        sources = self.params["sources"]
        if self.params["wheels"]:
            sources = [source for source in sources if source["kind"] == "index"][:1]
        for source in sources:
            try:
                self._install(source)
            except NotInstalledError as error:
                passed.append("{0}: {1}".format(source["name"], error))
                continue
            finally:
                shutil.rmtree(self.folder, ignore_errors=True)
            return source["name"], passed
        raise NotInstalledError("\n".join(passed))

    def _install(self, source):
        seconds = self.params["probe_s"]
        torch = source.get("torch_index")
        if source["kind"] == "wheel":
            for url in filter(None, (source["url"], torch)):
                silent = probe(url, seconds)
                if silent:
                    raise NotInstalledError("{0} cannot be reached ({1})".format(url.split("/")[2], silent))
        wheels = self.params["wheels"]
        torch_answers = bool(torch) and not wheels and probe(torch, seconds) is None
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.dirname(self.folder), exist_ok=True)
        self._uv("venv", "--relocatable", "--no-project", "--python", self._python(), self.folder)
        lock = self.params["lock"] or (os.path.join(wheels, WHEELS_LOCK) if wheels else None)
        arguments = pip_arguments(source, self.params["kind"], lock, torch_answers)
        self._uv("pip", "install", "--python", os.path.join(self.folder, "bin", "python"), *arguments)
        if self.params["shims"]:
            add_shims(missing_shims(packages_of(self.folder), self.params["shims"]))
        self._check()
        os.rename(self.folder, self.params["environment"])

    def _python(self):
        wanted = self.params["python"]
        ours = "{0}.{1}".format(*sys.version_info[:2])
        return sys.executable if ours == wanted else wanted

    def _check(self):
        python = os.path.join(self.folder, "bin", "python")
        package = self.params["package"]
        question = "import importlib.metadata as m; print(m.version({0!r}))".format(package)
        done = subprocess.run([python, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        found = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode or found.split("+")[0] != self.params["version"].split("+")[0]:
            raise NotInstalledError(
                "{0} {1} was to be installed, found: {2}".format(package, self.params["version"], found[-200:])
            )

    def _uv(self, *arguments):
        environment = dict(os.environ, NO_COLOR="1", UV_NO_PROGRESS="1")
        if not environment.get("UV_FIND_LINKS") and environment.get("PIP_FIND_LINKS"):
            environment["UV_FIND_LINKS"] = environment["PIP_FIND_LINKS"].replace(" ", ",")
        home, wheels = self.params["home"], self.params["wheels"]
        if home:
            environment.update(
                UV_CACHE_DIR=os.path.join(home, "cache", "uv"), UV_PYTHON_INSTALL_DIR=os.path.join(home, "python")
            )
        if wheels:
            environment.update(UV_FIND_LINKS=wheels, UV_NO_INDEX="1", UV_OFFLINE="1", UV_PYTHON_DOWNLOADS="never")
        try:
            with open(self.params["log"], "ab") as log:
                log.write("$ uv {0}\n".format(" ".join(arguments)).encode())
                log.flush()
                done = subprocess.run(
                    [self.params["uv"], *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, check=False,
                )  # fmt: skip
        except OSError as error:
            raise NotInstalledError("{0}: {1}".format(error.filename or self.params["uv"], error.strerror)) from error
        if done.returncode:
            raise NotInstalledError(cause_of(tail(self.params["log"], 30)))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "uv": {"type": "path", "required": True},
            "environment": {"type": "path", "required": True},
            "kind": {"type": "str", "required": True, "choices": ["cpu", "cuda"]},
            "version": {"type": "str", "required": True},
            "package": {"type": "str", "default": "vllm"},
            "python": {"type": "str", "required": True},
            "sources": {"type": "list", "elements": "dict", "required": True},
            "lock": {"type": "path"},
            "wheels": {"type": "path"},
            "home": {"type": "path"},
            "shims": {"type": "path"},
            "log": {"type": "path", "required": True},
            "probe_s": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    if os.path.isdir(module.params["environment"]):
        packages = packages_of(module.params["environment"])
        missing = missing_shims(packages, module.params["shims"]) if module.params["shims"] else []
        if not module.check_mode:
            add_shims(missing)
        module.exit_json(changed=bool(missing))
    if module.check_mode:
        module.exit_json(changed=True)
    log = module.params["log"]
    try:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        source, passed = Installer(module.params).run()
    except NotInstalledError as error:
        module.fail_json(msg="the engine could not be installed from any source:\n{0}".format(error), log=tail(log, 15))
    except OSError as error:
        module.fail_json(msg="the engine could not be installed: {0}".format(error), log=tail(log, 15))
    module.exit_json(changed=True, source=source, passed=passed, msg="installed from {0}".format(source))


if __name__ == "__main__":
    main()
