"""A comment's text and where it goes -> one comment, posted or edited in place."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from deploykit.errors import CommentError, TransientCommentError
from deploykit.workflows.ports import Comments, Posted

WAITS_S = (1.0, 4.0, 15.0)
"""Between attempts, while the code host does not answer."""


class Done(NamedTuple):
    """What happened."""

    what: Literal["created", "updated", "unchanged"]
    posted: Posted


def post(
    comments: Comments, marker: str, body: str, *, expected_head: str | None, sleep: Callable[[float], None]
) -> Done:
    """Edit our comment that begins with the marker, or post one where there is none.

    An attempt that failed half way may have posted: each one looks again, so that there is never a second comment.
    Raises CommentError if the code host refuses, keeps failing, or now proposes another commit than `expected_head`.
    """
    for wait in (*WAITS_S, None):
        try:
            return _once(comments, marker, body, expected_head)
        except TransientCommentError:
            if wait is None:
                raise
            sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _once(comments: Comments, marker: str, body: str, expected_head: str | None) -> Done:
    if expected_head is not None and (now := comments.head_sha()) != expected_head:
        raise CommentError(
            f"the request proposes {now[:12]} now, and what was measured is {expected_head[:12]}",
            hint="it was pushed to since, or the number is not the one that was measured: nothing was posted",
        )
    found = next((one for one in comments.mine() if one.body.lstrip().startswith(marker)), None)
    if found is None:
        return Done("created", comments.create(body))
    if found.body.replace("\r\n", "\n").strip() == body.strip():
        return Done("unchanged", found)
    return Done("updated", comments.update(found, body))
