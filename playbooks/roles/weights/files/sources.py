"""Where the bytes of a locked file come from: another node, a folder, a plain HTTP server, or the model hub.

A source's `open(repository, path, offset)` returns (stream, start, total): the bytes from `start` on, which is the offset
or 0 where a server cannot begin in the middle, and the size of the whole file or None where it is not told.
Only the hub's source needs a library: huggingface_hub, which every engine's environment holds.
"""

import http.client
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 30
SSH_FAILED = 255
"""What ssh exits with when the connection, rather than the command, failed."""

GATED = "the repository is gated: accept its terms on the hub, and set HF_TOKEN (or DEPLOYKIT_HF_TOKEN_FILE) to a token that may read it"


class SourceError(Exception):
    """A source cannot give a file, and asking again will not help; the text says why."""


class BrokenError(Exception):
    """A connection broke, or could not be made; asking again may help."""


class Folder:
    """A folder this host sees: a disk that was carried here, or a network file system."""

    def __init__(self, folder):
        self.name = folder
        self._folder = folder

    def open(self, repository, path, offset):
        """Open a file of a folder, in any of the layouts that people copy weights in."""
        for inside in layouts(repository):
            found = os.path.join(self._folder, *inside, *path.split("/"))
            if os.path.isfile(found):
                file = open(found, "rb")  # noqa: SIM115 - the caller closes it
                file.seek(offset)
                return file, offset, os.fstat(file.fileno()).st_size
        raise SourceError("{0} is not there".format(path))


def layouts(repository):
    """Return where below a folder a repository's files may lie: by name, as the hub's cache, or right there."""
    owner, _, name = repository["repo"].partition("/")
    cache = "models--{0}--{1}".format(owner, name)
    return [[owner, name], ["{0}--{1}".format(owner, name)], [cache, "snapshots", repository["revision"]], []]


class Peer:
    """Another node of the cluster, by SSH; its key may run one command there (serve.py)."""

    def __init__(self, name, command):
        self.name = name
        self._command = command

    def open(self, repository, path, offset):
        """Ask for a file's bytes."""
        asked = "{0} {1}/{2}".format(offset, os.path.basename(repository["folder"]), path)
        try:
            process = subprocess.Popen(
                [*self._command, asked], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )  # fmt: skip
        except OSError as error:
            raise SourceError("ssh does not run: {0}".format(error.strerror)) from error
        return _Piped(process), offset, None


class _Piped:
    def __init__(self, process):
        self._process = process

    def read(self, size):
        data = self._process.stdout.read(size)
        if not data and self._process.wait() != 0:
            said = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
            kind = BrokenError if self._process.returncode == SSH_FAILED else SourceError
            raise kind(said[-1] if said else "ssh ended with {0}".format(self._process.returncode))
        return data

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()


class Plain:
    """An HTTP server with the files below `URL/OWNER/NAME/`, or right below the URL."""

    def __init__(self, url):
        self.name = shown(url)
        self._url = url.rstrip("/")

    def open(self, repository, path, offset):
        """Ask for a file in either place."""
        last = None
        for inside in (repository["repo"] + "/", ""):
            try:
                return ranged(self._url + "/" + urllib.parse.quote(inside + path), offset, {})
            except SourceError as error:
                last = error
        raise last

    def has(self, repository, path):
        """Return whether the server answers for a file; the hub's own layout does not."""
        try:
            self.open(repository, path, 0)[0].close()
        except (SourceError, BrokenError):
            return False
        return True


class Hub:
    """The model hub, or a server that speaks as it does (HF_ENDPOINT)."""

    def __init__(self, endpoint, token):
        self.name = shown(endpoint) if endpoint else "the model hub"
        self._endpoint, self._token = endpoint, token

    def open(self, repository, path, offset):
        """Ask the hub where a file's bytes are, by its library, and get them from there.

        The library's own download begins again after an interruption, so the bytes come by a ranged request. The
        token goes to the hub alone, never to the storage it sends us to.
        """
        try:
            from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - no other source needs it
        except ImportError as error:
            raise SourceError("huggingface_hub is not in the engine's environment") from error
        url = hf_hub_url(repository["repo"], path, revision=repository["revision"], endpoint=self._endpoint)
        try:
            found = get_hf_file_metadata(url, token=self._token or False, endpoint=self._endpoint, timeout=TIMEOUT_S)
        except Exception as error:  # the library's errors, told apart by name: their modules move between releases
            raise _explained(error, repository, self.name) from error
        if found.commit_hash and found.commit_hash != repository["revision"]:
            raise SourceError("it answers with revision {0}".format(found.commit_hash))
        same_host = urllib.parse.urlsplit(found.location).netloc == urllib.parse.urlsplit(url).netloc
        headers = {"Authorization": "Bearer " + self._token} if self._token and same_host else {}
        return ranged(found.location, offset, headers)


def _explained(error, repository, name):
    kinds = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds or status in (401, 403):
        return SourceError("{0}: {1}".format(repository["repo"], GATED))
    if "RevisionNotFoundError" in kinds:
        return SourceError("{0} has no revision {1} any more".format(repository["repo"], repository["revision"]))
    if "EntryNotFoundError" in kinds:
        return SourceError("it is not in {0} at {1}".format(repository["repo"], repository["revision"]))
    if "RepositoryNotFoundError" in kinds:
        return SourceError("there is no {0}, or it is private: {1}".format(repository["repo"], GATED))
    if status is not None and status < 500 and status not in (408, 429):
        return SourceError("{0} answers HTTP {1}".format(name, status))
    return BrokenError("{0} does not answer ({1})".format(name, str(error).splitlines()[0] if str(error) else kinds[0]))


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects; a header with a token stays with the host it was meant for."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        fresh = super().redirect_request(req, fp, code, msg, headers, newurl)
        if fresh is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            fresh.headers.pop("Authorization", None)
        return fresh


def ranged(url, offset, headers):
    """Get an address from an offset on; SourceError for an answer that stays, BrokenError for one that may change."""
    wanted = {"User-Agent": "deploykit", "Accept-Encoding": "identity", **headers}
    if offset:
        wanted["Range"] = "bytes={0}-".format(offset)
    try:
        request = urllib.request.Request(url, headers=wanted)  # noqa: S310 - http or https, as the operator gave it
        answer = urllib.request.build_opener(_SameHost).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # there is nothing from there on: what is here is longer than what is there
            return ranged(url, 0, headers)
        kind = BrokenError if error.code >= 500 or error.code in (408, 429) else SourceError
        mend = ": " + GATED if error.code in (401, 403) else ""
        raise kind("{0} answers HTTP {1}{2}".format(shown(url), error.code, mend)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BrokenError("{0} does not answer ({1})".format(shown(url), getattr(error, "reason", error))) from error
    start = offset if answer.status == 206 else 0
    length = answer.headers.get("Content-Length")
    return answer, start, int(length) + start if length and length.isdigit() else None


def shown(url):
    """Return an address for people: without a password, a signature or a path as long as a page."""
    parts = urllib.parse.urlsplit(url)
    return "{0}://{1}".format(parts.scheme, parts.netloc.rpartition("@")[2])


def from_job(wanted, repository, token):
    """Return the sources of a job, in the order they are asked."""
    found = []
    for one in wanted:
        if one["kind"] == "peer":
            found.append(Peer(one["name"], one["command"]))
        elif one["kind"] == "folder":
            found.append(Folder(one["folder"]))
        elif one["kind"] == "mirror":
            plain = Plain(one["url"])
            found.append(plain if plain.has(repository, repository["files"][0]["path"]) else Hub(one["url"], token))
        else:
            found.append(Hub(None, token))
    return found
