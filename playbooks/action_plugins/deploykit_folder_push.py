"""Send the files of a folder on this machine to a host's: those that are not there, in pieces that append.

Ansible's own copy asks the host about every file, and sends one again from its beginning after an interruption. This goes
through the task's connection and become, a little at each call, until `done`. A file counts as there by its name and size:
what is sent is verified by the one that reads it.
"""

import io
import os
import shlex
import tarfile
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PIECE = 32 << 20


class ActionModule(ActionBase):
    """Options: `folder` on this machine, `to` on the host, and `slice_s`."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Send for a while, and tell how far it is."""
        result = super().run(tmp, task_vars)
        folder, to = self._task.args["folder"], self._task.args["to"]
        ends = time.monotonic() + float(self._task.args.get("slice_s", 15))
        sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}
        here = self._here(to)
        missing = {name: size for name, size in sizes.items() if here.get(name) != size}
        if self._play_context.check_mode or not missing:
            return dict(result, changed=bool(missing), done=True, msg="all has arrived")
        free = self._free(to)
        left = sum(missing.values()) - sum(here.get(name + ".partial", 0) for name in missing)
        if free < left:
            raise AnsibleActionFail(
                "{0:.2f} GB have to go to {1}, where {2:.2f} GB are free: free some space there".format(
                    left / 1e9, to, free / 1e9
                )
            )
        for batch in _batches(missing):
            if len(batch) > 1 or missing[batch[0]] <= PIECE:
                self._send_small(folder, to, batch)
                left -= sum(missing[name] for name in batch)
            else:
                left -= self._send_large(folder, to, batch[0], here.get(batch[0] + ".partial", 0), ends)
            if time.monotonic() > ends:
                break
        return dict(result, changed=True, done=left == 0, msg="{0:.2f} GB still to send".format(left / 1e9))

    def _here(self, to):
        """Return {file: size} of the host's folder."""
        listed = self._run(
            "test ! -d {0} || find {0} -maxdepth 1 -type f -printf '%s %f\\n'".format(shlex.quote(to))
        ).splitlines()
        pairs = (line.strip().split(" ", 1) for line in listed if line.strip())
        return {name: int(size) for size, name in pairs}

    def _free(self, to):
        """Return how many bytes are free where the host's folder is, which is made."""
        return int(self._run("mkdir -p {0} && df -P -B1 {0}".format(shlex.quote(to))).split("\n")[1].split()[3])

    def _send_small(self, folder, to, names):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name in names:
                tar.add(os.path.join(folder, name), arcname=name, filter=_as_root)
        self._run("tar -xf - -C {0}".format(shlex.quote(to)), packed.getvalue())

    def _send_large(self, folder, to, name, have, ends):
        """Append what is missing of one file; return how many bytes went."""
        target = shlex.quote(os.path.join(to, name))
        path, sent = os.path.join(folder, name), 0
        with open(path, "rb") as file:
            file.seek(have)
            for piece in iter(lambda: file.read(PIECE), b""):
                self._run("cat >> {0}.partial".format(target), piece)
                sent += len(piece)
                if time.monotonic() > ends:
                    break
            if file.tell() == os.path.getsize(path):
                self._run("mv {0}.partial {0} && chmod 644 {0}".format(target))
        return sent

    def _run(self, command, data=None):
        done = self._low_level_execute_command(command, in_data=data)
        if done["rc"] != 0:
            raise AnsibleActionFail("cannot write there: {0}".format((done["stderr"] or done["stdout"]).strip()[-200:]))
        return done["stdout"]


def _as_root(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o644
    return entry


def _batches(missing):
    """Put files together that are small, so that each turn sends about one piece."""
    batch, size = [], 0
    for name in sorted(missing, key=lambda name: (missing[name], name)):
        if batch and size + missing[name] > PIECE:
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += missing[name]
    if batch:
        yield batch
