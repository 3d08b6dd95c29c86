"""Asks the model hub, through huggingface_hub, what a repository holds at a revision, with the digest of every file."""

import fnmatch
import hashlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deploykit.catalog.weights_lock import LockedFile, LockedRepository
from deploykit.errors import DeploykitError, WeightsError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

TIMEOUT_S = 30.0
PARALLEL = 8
SMALL_BYTES = 64 * 2**20
"""Far above what the hub takes outside of LFS (10 MB): a larger file without a digest is not fetched just to hash it."""

GATE_HINT = "accept the repository's terms on the hub, then set HF_TOKEN (or DEPLOYKIT_HF_TOKEN_FILE) to a token that may read it"


class HuggingFaceHub:
    """The model hub.

    Args:
        token: the operator's token, or None.
        endpoint: another server that speaks as the hub does; HF_ENDPOINT's or the hub itself if None.

    """

    def __init__(self, token: str | None, endpoint: str | None = None) -> None:
        self._token = token
        self._endpoint = endpoint or os.environ.get("HF_ENDPOINT") or None

    def repository(self, repo: str, revision: str | None, exclude: tuple[str, ...]) -> LockedRepository:
        """Return a repository at a revision, its newest if None.

        Large files (LFS) carry their SHA-256; small ones are fetched, held against their git blob's id, and hashed.

        Raises:
            WeightsError: it does not answer, or there is no such repository or revision, or it may not be read.

        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token or False)
        with _explained(repo, revision):
            info = api.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
            kept = [s for s in info.siblings or () if not any(fnmatch.fnmatch(s.rfilename, p) for p in exclude)]
            files = self._files(repo, str(info.sha), kept)
        return _entry(repo, info, exclude, files)

    def _files(self, repo: str, revision: str, siblings: "list[RepoSibling]") -> tuple[LockedFile, ...]:
        with tempfile.TemporaryDirectory(prefix="deploykit-") as folder, ThreadPoolExecutor(PARALLEL) as pool:

            def locked(sibling: "RepoSibling") -> LockedFile:
                if sibling.lfs is not None:
                    return LockedFile(path=sibling.rfilename, size=sibling.lfs.size, sha256=sibling.lfs.sha256)
                return self._hashed(repo, revision, sibling, folder)

            return tuple(sorted(pool.map(locked, siblings), key=lambda file: file.path))

    def _hashed(self, repo: str, revision: str, sibling: "RepoSibling", folder: str) -> LockedFile:
        """Fetch a small file and hash it; WeightsError if it is not the one its commit names."""
        from huggingface_hub import hf_hub_download

        name = sibling.rfilename
        if sibling.size is None or sibling.size > SMALL_BYTES:
            raise WeightsError(
                f"the hub gives no SHA-256 for {repo}/{name}, and it is too large to be fetched for one",
                hint="leave it out with --exclude if the engine does not need it",
            )
        path = hf_hub_download(
            repo, name, revision=revision, local_dir=folder, token=self._token or False, endpoint=self._endpoint
        )
        content = Path(path).read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if sibling.blob_id is not None and blob != sibling.blob_id:
            raise WeightsError(
                f"{repo}/{name} arrived damaged: it is not the file of commit {revision}",
                hint="run this again; if it stays so, look at the proxy or mirror between you and the hub",
            )
        return LockedFile(path=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _entry(repo: str, info: "ModelInfo", exclude: tuple[str, ...], files: tuple[LockedFile, ...]) -> LockedRepository:
    try:
        return LockedRepository(repo=repo, revision=str(info.sha), exclude=exclude, files=files)
    except ValidationError as error:
        raise WeightsError(f"the hub's answer for {repo} cannot be locked: {error.errors()[0]['msg']}") from None


@contextmanager
def _explained(repo: str, revision: str | None) -> Iterator[None]:
    """Turn the library's errors into one that says what to do; a token is in none of them."""
    from huggingface_hub import errors

    try:
        yield
    except DeploykitError:
        raise
    except errors.GatedRepoError:
        raise WeightsError(f"{repo} is gated: the hub does not let you read it", hint=GATE_HINT) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(
            f"{repo} has no revision {revision}",
            hint="look at its commits on the hub; `deploykit lock --update` takes what the profile pins, or the newest",
        ) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(
            f"the hub has no repository {repo}, or you may not read it",
            hint=f"check its name in the profile; {GATE_HINT}",
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        hint = GATE_HINT if status in (401, 403) else "try again later, or name another server in HF_ENDPOINT"
        raise WeightsError(f"the hub answers HTTP {status} for {repo}", hint=hint) from None
    except Exception as error:
        # What its HTTP library raises has moved with its releases; a defect of ours is no OSError and no HTTP error.
        if not isinstance(error, OSError | ValueError) and "http" not in type(error).__module__:
            raise
        raise WeightsError(
            f"the hub does not answer for {repo} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})",
            hint="connect this machine to the network, set HF_ENDPOINT to a mirror, or lock on a machine that reaches the hub; "
            "`deploykit lock --mirror DIR` pins what a folder of weights holds, and asks no hub",
        ) from None
