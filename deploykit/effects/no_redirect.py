"""What follows no redirect: a token is for the address that the operator named, and for no other."""

import urllib.request
from typing import Any


class StayThere(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the handler's own signature
        """Return nothing, so that the redirect is an error."""
