"""The comments of a GitHub pull request and of a GitLab merge request, through their HTTP APIs."""

from typing import Any
from urllib.parse import quote

from deploykit.effects.rest import Rest
from deploykit.errors import CommentError
from deploykit.workflows.ports import Posted

_ACTIONS = "github-actions[bot]"
"""Who a workflow's own token is; it may not ask for its name."""


class GitHubComments:
    """A pull request's comments; `repository` is `OWNER/NAME`."""

    def __init__(self, rest: Rest, repository: str, number: int) -> None:
        self._rest, self._repository, self._number = rest, f"/repos/{quote(repository)}", number

    def mine(self) -> tuple[Posted, ...]:
        """Return our comments: those of others may hold any marker."""
        me = self._me()
        every = self._rest.pages(f"{self._repository}/issues/{self._number}/comments")
        return tuple(_posted(one) for one in every if _of(one, "user", "login") == me)

    def create(self, body: str) -> Posted:
        """Post a comment."""
        path = f"{self._repository}/issues/{self._number}/comments"
        return _posted(self._rest.send("POST", path, {"body": body}))

    def update(self, posted: Posted, body: str) -> Posted:
        """Edit a comment."""
        path = f"{self._repository}/issues/comments/{posted.id}"
        return _posted(self._rest.send("PATCH", path, {"body": body}))

    def head_sha(self) -> str:
        """Return the pull request's newest commit."""
        return _of(self._rest.get(f"{self._repository}/pulls/{self._number}"), "head", "sha")

    def _me(self) -> str:
        try:
            return str(self._rest.get("/user").get("login", _ACTIONS))
        except CommentError as error:
            if " 403" in error.what:
                return _ACTIONS
            raise


class GitLabNotes:
    """A merge request's notes; `project` is its path or number."""

    def __init__(self, rest: Rest, project: str, number: int) -> None:
        self._rest, self._request = rest, f"/projects/{quote(project, safe='')}/merge_requests/{number}"

    def mine(self) -> tuple[Posted, ...]:
        """Return our notes."""
        me = self._rest.get("/user").get("username")
        every = self._rest.pages(f"{self._request}/notes?sort=asc&order_by=created_at")
        return tuple(_posted(one) for one in every if not one.get("system") and _of(one, "author", "username") == me)

    def create(self, body: str) -> Posted:
        """Post a note."""
        return _posted(self._rest.send("POST", f"{self._request}/notes", {"body": body}))

    def update(self, posted: Posted, body: str) -> Posted:
        """Edit a note."""
        return _posted(self._rest.send("PUT", f"{self._request}/notes/{posted.id}", {"body": body}))

    def head_sha(self) -> str:
        """Return the merge request's newest commit."""
        return str(self._rest.get(self._request).get("sha", ""))


def _posted(answer: Any) -> Posted:  # noqa: ANN401 - any JSON
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
        raise CommentError("the API answers with something that is no comment")
    return Posted(id=str(answer["id"]), body=str(answer.get("body") or ""), url=str(answer.get("html_url") or ""))


def _of(answer: Any, *keys: str) -> str:  # noqa: ANN401
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return str(answer or "")
