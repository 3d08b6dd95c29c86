"""Bring the weights on this host to what is locked: fetch what is missing, in parallel, and verify all of it.

Started by the module deploykit_weights with a job (a JSON file) as the only argument, in the background, with the
engine's Python; what it does is told in the job's status file. It goes on where an earlier one stopped, and ends by itself
when nobody has asked about it for a while. The hub's token comes from its environment, and goes nowhere else.
"""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time

import deploykit_weights as weights
import sources as places

TRIES = 6
"""How often a file is asked for again without one more byte."""

ABANDONED_S = 180
"""A job nobody asks about for so long ends: the `up` that wanted it is gone."""


class FetchError(Exception):
    """Weights that could not be brought to what is locked; the text says which and why."""


class Fetcher:
    """One job: repositories, where their files come from, and how far it is."""

    def __init__(self, job, token):
        self.job, self.token = job, token
        self.stop = threading.Event()
        self.notes = []
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._bytes = {}
        self._verified = {}
        self._total = sum(locked["size"] for one in job["repositories"] for locked in one["files"])
        self._sources = {}
        self._dead = {}
        self.placed = 0

    def run(self):
        """Do the job; raises FetchError."""
        todo = []
        for repository in self.job["repositories"]:
            folder = repository["folder"]
            os.makedirs(folder, exist_ok=True)
            weights.refuse_foreign(repository)
            self._verified[folder] = {} if self.job.get("verify") else weights.read_manifest(folder)
            files = weights.unverified(repository, self._verified[folder])
            todo += [(repository, locked) for locked in files]
            for locked in repository["files"]:
                self._told(folder, locked, 0 if locked in files else locked["size"])
        self._in_parallel(self._adopt, todo)
        missing = [(repository, locked) for repository, locked in todo if not self._is_there(repository, locked)]
        self._refuse_full_disk(missing)
        self._in_parallel(self._fetch, missing)
        for repository in self.job["repositories"]:
            shutil.rmtree(repository["folder"] + ".partial", ignore_errors=True)

    def progress(self):
        """Return (bytes that are verified or under way, bytes in all)."""
        with self._lock:
            return sum(self._bytes.values()), self._total

    def _in_parallel(self, function, items):
        with concurrent.futures.ThreadPoolExecutor(self.job["parallel"]) as pool:
            running = [pool.submit(function, *item) for item in items]
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_EXCEPTION)
            failed = next((one for one in done if one.exception()), None)
            if failed is not None:
                self.stop.set()
                for one in running:
                    one.cancel()
                failed.result()
        if self.stop.is_set():
            raise FetchError("stopped; what was fetched is kept")

    def _is_there(self, repository, locked):
        return weights.is_verified(repository["folder"], locked, self._verified[repository["folder"]])

    def _adopt(self, repository, locked):
        """Hash a file that lies in its place and was not verified yet; name one that is not what is locked."""
        path = weights.final_path(repository["folder"], locked["path"])
        if not os.path.isfile(path):
            return
        if os.stat(path).st_size != locked["size"]:
            self._note("{0} had {1} bytes instead of {2}", locked["path"], os.stat(path).st_size, locked["size"])
            return
        found = weights.sha256_of(path, self.stop)
        if found == locked["sha256"]:
            self._record(repository, locked)
        elif found is not None:
            self._note("{0} was damaged (SHA-256 {1}...)", locked["path"], found[:12])

    def _refuse_full_disk(self, missing):
        wanted = {}
        for repository, locked in missing:
            partial = weights.size_of(weights.partial_path(repository["folder"], locked["path"]))
            parent = os.path.dirname(repository["folder"])
            wanted[parent] = wanted.get(parent, 0) + max(0, locked["size"] - partial)
        for parent, count in wanted.items():
            said = weights.no_room(parent, count)
            if said:
                raise FetchError(said)

    def _fetch(self, repository, locked):
        """Fetch one file from the first source that has it."""
        why = []
        for source in self._sources_of(repository):
            if source in self._dead:
                continue
            for attempt in (1, 2):  # what is wrong may have been the part that was here before
                try:
                    found = self._from(source, repository, locked)
                except (places.SourceError, places.BrokenError) as error:
                    why.append("{0}: {1}".format(source.name, error))
                    if isinstance(error, places.BrokenError):
                        self._leave(source, error)
                    break
                if found == locked["sha256"]:
                    self._place(repository, locked)
                    for said in why:
                        self._note("{0} is from {1}, for {2}", locked["path"], source.name, said)
                    return
                os.unlink(weights.partial_path(repository["folder"], locked["path"]))
                if attempt == 2:
                    why.append("{0}: SHA-256 is {1}...".format(source.name, found[:12]))
                self._note("{0} from {1} is not what is locked", locked["path"], source.name)
        why += ["{0}: {1}".format(source.name, error) for source, error in self._dead.items() if not why]
        if not why:
            why = ["there is no source to fetch it from"]
        raise FetchError("{0} cannot be had as it is locked. {1}".format(locked["path"], "; ".join(why)))

    def _leave(self, source, error):
        """Ask a source that does not answer for no other file: the next source may."""
        with self._lock:
            self._dead[source] = error

    def _sources_of(self, repository):
        with self._asking:
            key = repository["folder"]
            if key not in self._sources:
                here = [_Arrived()] if self.job.get("arrived") else []
                self._sources[key] = here + places.from_job(self.job["sources"], repository, self.token)
            return self._sources[key]

    def _from(self, source, repository, locked):
        """Write a file's bytes behind those that are here; return the digest of the whole."""
        try:
            return self._append(source, repository, locked)
        except OSError as error:  # what was still in a buffer did not fit on the disk
            self._still_useful(error)
            raise

    def _append(self, source, repository, locked):
        partial = weights.partial_path(repository["folder"], locked["path"])
        os.makedirs(os.path.dirname(partial), exist_ok=True)
        with open(partial, "ab+") as file:
            if os.fstat(file.fileno()).st_size > locked["size"]:
                file.truncate(0)
            digest = _digest_so_far(file, self.stop)
            tries = TRIES
            while file.tell() < locked["size"]:
                before = file.tell()
                try:
                    digest = self._stream(source, repository, locked, file, digest)
                except (places.BrokenError, OSError, http.client.HTTPException) as error:
                    self._still_useful(error)
                    tries = TRIES if file.tell() > before else tries - 1
                    if not tries:
                        raise places.BrokenError("the connection breaks again and again ({0})".format(error)) from error
                    if self.stop.wait(min(10, 2 ** (TRIES - tries) / 4)):
                        raise FetchError("stopped; what was fetched is kept") from error
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def _stream(self, source, repository, locked, file, digest):
        stream, start, total = source.open(repository, locked["path"], file.tell())
        try:
            if total is not None and total != locked["size"]:
                raise places.SourceError("it has {0} bytes there instead of {1}".format(total, locked["size"]))
            if start != file.tell():  # always 0: the server cannot begin in the middle
                file.truncate(0)
                file.seek(0, os.SEEK_END)
                digest = hashlib.sha256()
            while file.tell() < locked["size"]:
                if self.stop.is_set():
                    raise FetchError("stopped; what was fetched is kept")
                chunk = stream.read(min(weights.CHUNK, locked["size"] - file.tell()))
                if not chunk:
                    raise places.BrokenError("it ended after {0} of {1} bytes".format(file.tell(), locked["size"]))
                file.write(chunk)
                digest.update(chunk)
                self._told(repository["folder"], locked, file.tell())
        finally:
            stream.close()
        return digest

    @staticmethod
    def _still_useful(error):
        """Raise FetchError for an error of this host's disk: asking again does not mend it."""
        if isinstance(error, OSError) and error.errno in (28, 122, 30, 13):  # full, quota, read-only, forbidden
            raise FetchError("cannot write: {0}".format(error.strerror)) from error

    def _place(self, repository, locked):
        final = weights.final_path(repository["folder"], locked["path"])
        os.makedirs(os.path.dirname(final), exist_ok=True)
        partial = weights.partial_path(repository["folder"], locked["path"])
        os.chmod(partial, 0o644)
        os.replace(partial, final)
        with self._lock:
            self.placed += 1
        self._record(repository, locked)

    def _record(self, repository, locked):
        folder = repository["folder"]
        entry = weights.entry_of(weights.final_path(folder, locked["path"]), locked["sha256"])
        with self._lock:
            self._verified[folder][locked["path"]] = entry
            weights.write_manifest(folder, self._verified[folder])
        self._told(folder, locked, locked["size"])

    def _told(self, folder, locked, count):
        with self._lock:
            self._bytes[folder, locked["path"]] = count

    def _note(self, text, *values):
        with self._lock:
            self.notes.append(text.format(*values))


class _Arrived:
    """What the command line's own machine has sent into the partial files; nothing comes after it."""

    name = "the mirror folder"

    def open(self, repository, path, offset):  # noqa: ARG002 - every source is asked alike
        raise places.SourceError("{0} bytes of {1} have arrived".format(offset, path))


def _digest_so_far(file, stop):
    """Return the digest of what a file holds, and leave the file at its end."""
    digest = hashlib.sha256()
    file.seek(0)
    for chunk in iter(lambda: file.read(weights.CHUNK), b""):
        if stop.is_set():
            break
        digest.update(chunk)
    file.seek(0, os.SEEK_END)
    return digest


def told(fetcher, state, error=None):
    """Return the status as the module reads it."""
    done, total = fetcher.progress()
    return {"state": state, "done": done, "total": total, "placed": fetcher.placed, "notes": fetcher.notes[-20:],
            "error": error}  # fmt: skip


def work(job, token):
    """Do a job, telling its status twice a second; return whether it is done."""
    fetcher = Fetcher(job, token)
    signal.signal(signal.SIGTERM, lambda *_: fetcher.stop.set())
    result = {}

    def run():
        try:
            fetcher.run()
        except (FetchError, weights.NotLockedError, OSError) as error:
            result["error"] = str(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        _tell(job, told(fetcher, "running"))
        if time.time() - os.stat(job["wanted"]).st_mtime > job.get("abandoned_s", ABANDONED_S):
            fetcher.stop.set()
        thread.join(0.5)
    error = result.get("error")
    _tell(job, told(fetcher, "failed" if error else "done", error))
    return error is None


def _tell(job, status):
    """Write the status; on a disk that is full whoever asks sees that for himself, and the work ends by its own error."""
    with contextlib.suppress(OSError):
        weights.write_json(job["status"], status)


def main():
    """Run a job in the background, unless another one is at work on this host; return when its first status is there."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    token = os.environ.pop("HF_TOKEN", None)
    with open(job["lock"], "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        child = os.fork()  # it holds the lock on
        if child == 0:
            os._exit(0 if work(job, token) else 1)
        while not os.path.exists(job["status"]) and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.02)


if __name__ == "__main__":
    main()
