"""An OpenAI-compatible address -> the models it serves."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from deploykit.effects.no_redirect import StayThere
from deploykit.errors import LoadTestError

_TIMEOUT_S = 20


def served_models(base_url: str, *, api_key: str | None, authority: Path | None = None) -> tuple[str, ...]:
    """Return the names that /v1/models tells; LoadTestError says what answers instead.

    `authority` is the root that is trusted instead of the system's.
    """
    address = f"{base_url.rstrip('/')}/v1/models"
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - http(s), checked by the caller
    # As the load test: straight there, and the key goes nowhere else.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), StayThere()]
    if authority is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT_S) as response:
            told = json.loads(response.read())
        return tuple(str(entry["id"]) for entry in told["data"])
    except urllib.error.HTTPError as error:
        with error:
            sent_on = error.headers.get("Location") if 300 <= error.code < 400 else None
            raise _refused(address, error.code, given=api_key is not None, sent_on=sent_on) from None
    except (KeyError, TypeError, ValueError):
        raise LoadTestError(
            f"{address} does not answer as an OpenAI-compatible server does", hint="name the model with --model"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise LoadTestError(f"{address} does not answer: {reason}", hint="is the address right?") from None


def _refused(address: str, status: int, *, given: bool, sent_on: str | None) -> LoadTestError:
    if sent_on is not None:
        hint = "give the address that answers itself: a key is sent nowhere else"
        return LoadTestError(f"{address} answers HTTP {status} and sends on to {sent_on[:200]!r}", hint=hint)
    if status in {401, 403}:
        hint = "the key in DEPLOYKIT_API_KEY is not one it knows" if given else "set DEPLOYKIT_API_KEY"
        return LoadTestError(f"{address} answers HTTP {status}: it wants another key", hint=hint)
    return LoadTestError(
        f"{address} answers HTTP {status}", hint="name the model with --model, if the address is right"
    )
