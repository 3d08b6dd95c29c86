"""A dashboard's JSON -> the operator's Grafana, by its HTTP API (https://grafana.com/docs/grafana/latest/developers/http_api/)."""

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from deploykit.effects.no_redirect import StayThere
from deploykit.effects.yaml_files import read_text
from deploykit.errors import MonitoringError

_TIMEOUT_S = 10
_LONGEST_UID = 40


class Grafana:
    """Puts the dashboard, and where asked for a data source, into a Grafana. What is there already is replaced."""

    def __init__(self, url: str, token: str, dashboard: Path) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._dashboard = dashboard
        self._opener = urllib.request.build_opener(StayThere())

    def publish(self, deployment: str, *, prometheus_url: str | None) -> str:
        """Return the dashboard's address; raises MonitoringError in Grafana's own words."""
        if prometheus_url is not None:
            self._data_source(deployment, prometheus_url)
        wanted = {"dashboard": json.loads(read_text(self._dashboard)), "overwrite": True, "message": "deploykit"}
        answer = self._ask("POST", "/api/dashboards/db", wanted)
        path = str(answer.get("url", "")) or "/dashboards"
        host = self._url.split("/", 3)
        return f"{'/'.join(host[:3])}{path}"

    def _data_source(self, deployment: str, prometheus_url: str) -> None:
        uid = f"deploykit-{deployment}"[:_LONGEST_UID]
        source = {
            "name": f"deploykit {deployment}",
            "uid": uid,
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus_url,
        }
        try:
            self._ask("GET", f"/api/datasources/uid/{uid}", None)
        except _NotThereError:
            self._ask("POST", "/api/datasources", source)
        else:
            self._ask("PUT", f"/api/datasources/uid/{uid}", source)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - http(s), the operator's own
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                refused = _refused(error, self._url, method, path)
                refused.what = refused.what.replace(self._token, "***")  # a server may repeat what it refuses
                raise refused from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise MonitoringError(f"{self._url} does not answer as Grafana does: {reason}") from error
        return answer if isinstance(answer, dict) else {}


class _NotThereError(MonitoringError):
    """Grafana does not have what was asked for."""


def _refused(error: urllib.error.HTTPError, url: str, method: str, path: str) -> MonitoringError:
    try:
        said = json.loads(error.read()).get("message")
    except (OSError, ValueError, AttributeError):
        said = None
    kind = _NotThereError if error.code == http.client.NOT_FOUND and method == "GET" else MonitoringError
    hint = "is the token of a service account with the role Editor (Admin for the data source)?"
    text = f"Grafana at {url} answers {method} {path} with HTTP {error.code}{f': {said}' if said else ''}"
    return kind(text, hint=hint if error.code in {401, 403} else None)
