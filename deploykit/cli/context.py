"""Builds what a command needs: catalogue, intent, world. Each part only when it is asked for, to start quickly."""

import platform
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit import __version__, paths
from deploykit.errors import UsageError
from deploykit.settings import OVERRIDES, Environment, grafana_token, read_environment, secrets

if TYPE_CHECKING:
    from deploykit.catalog.catalog import Catalog
    from deploykit.effects.records import Records
    from deploykit.effects.run_store import RunStores
    from deploykit.intent import CostIntent, Intent
    from deploykit.workflows.ports import Dashboards, Reporter
    from deploykit.workflows.resolve import Resolved
    from deploykit.workflows.world import World

INTENT_FILE = "deploykit.yaml"


class Context:
    """One command's surroundings."""

    @cached_property
    def environment(self) -> Environment:
        """The operator's DEPLOYKIT_* variables."""
        return read_environment()

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The shipped defaults: an intent, and an example of a real node."""
        from deploykit.effects.yaml_files import load_yaml

        return load_yaml(paths.shipped("profiles") / "defaults.yaml").data

    @cached_property
    def catalog(self) -> "Catalog":
        """The shipped profiles, and the operator's own over them."""
        from deploykit.effects.yaml_files import YamlCatalog

        extra = self.environment.profiles
        if extra is not None and not extra.is_dir():
            raise UsageError(
                f"DEPLOYKIT_PROFILES is not a folder: {extra}", hint="it holds models/, nodes/, prices/ and so on"
            )
        return YamlCatalog(paths.shipped("profiles"), extra=extra)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The operator's secrets, by the names the engine reads them under."""
        return secrets(self.environment)

    @cached_property
    def runs(self) -> "RunStores":
        """The run folders."""
        from deploykit.effects.run_store import RunStores

        return RunStores(self.environment.runs_dir)

    @cached_property
    def records(self) -> "Records":
        """The records of deployments."""
        from deploykit.effects.records import Records

        return Records(paths.data_dir())

    def intent(self, file: Path | None, command_line: dict[str, Any]) -> "Resolved":
        """Merge defaults, file, environment and command line."""
        from deploykit.workflows.resolve import Layer, resolve

        layers = [Layer(name="profiles/defaults.yaml", values=self.defaults["intent"])]
        chosen = self.intent_file(file)
        if chosen is not None:
            layers.append(Layer(name=str(chosen), values=self._checked_file(chosen)))
        from_environment = {name: getattr(self.environment, name) for name in OVERRIDES}
        for name, values in (("environment", from_environment), ("command line", command_line)):
            given = {key: value for key, value in values.items() if value is not None}
            layers.append(Layer(name=name, values=given, typed=True))
        return resolve(tuple(layers))

    def cost(self, rates: list[str] | None, offers: list[str] | None) -> "CostIntent":
        """Return what to price with: the intent's, and over it what the command line names."""
        named = {key: value for key, value in (("rates", rates), ("offers", offers)) if value}
        return self.intent(None, {"cost": named or None}).intent.cost

    def intent_file(self, file: Path | None) -> Path | None:
        """Return the intent file: the one named, else ./deploykit.yaml if it is there."""
        named = file or self.environment.config
        if named is not None:
            if not named.is_file():
                raise UsageError(f"there is no file {named}", hint="`deploykit init MODEL --node NODE` writes one")
            return named
        here = Path(INTENT_FILE)
        return here if here.is_file() else None

    def _checked_file(self, file: Path) -> dict[str, Any]:
        """Read the intent file and check its keys alone, so that a mistake is reported with its line."""
        from deploykit.effects.yaml_files import load_yaml, load_yaml_model
        from deploykit.intent import Intent

        values = load_yaml(file).data
        needed = {key: value for key, value in self.defaults["intent"].items() if key not in values}
        load_yaml_model(file, Intent, **needed)
        return values

    def dashboards(self, intent: "Intent") -> "Dashboards | None":
        """Return the operator's Grafana, if the intent names one; UsageError without a token for it."""
        from deploykit.effects.grafana import Grafana

        url = intent.monitoring.grafana_url
        if url is None:
            return None
        token = grafana_token(self.environment)
        if token is None:
            raise UsageError(
                f"there is no token for the Grafana at {url}",
                hint="set DEPLOYKIT_GRAFANA_TOKEN or DEPLOYKIT_GRAFANA_TOKEN_FILE, or leave out `monitoring.grafana_url`",
            )
        return Grafana(url, token, paths.shipped("profiles") / "dashboards" / "deploykit.json")

    def world(self, reporter: "Reporter", dashboards: "Dashboards | None" = None) -> "World":
        """Return every port, for real."""
        from deploykit.effects.ansible import AnsibleRunner
        from deploykit.effects.clock import SystemClock
        from deploykit.effects.locust import LocustGenerator
        from deploykit.effects.prometheus import PrometheusMetrics
        from deploykit.workflows.world import World

        release = self.catalog.engine(self.defaults["intent"]["engine"])
        return World(
            playbooks=AnsibleRunner(paths.shipped("playbooks")),
            generator=LocustGenerator(paths.shipped("loadtests")),
            metrics=PrometheusMetrics(release.metrics),
            clock=SystemClock(),
            reporter=reporter,
            runs=self.runs,
            records=self.records,
            profiles=paths.shipped("profiles"),
            secrets=self.secrets,
            dashboards=dashboards,
            versions={
                "deploykit": __version__,
                "python": platform.python_version(),
                "platform": f"{sys.platform} {platform.machine()}",
            },
        )


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """Parse `--set key=value`; a value is JSON if it is JSON, else text. UsageError for what is neither."""
    from deploykit.setting_value import from_text

    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        name = key.strip().removeprefix("--").replace("_", "-")
        if not equals or not _KEY.fullmatch(name):
            raise UsageError(f"`--set {_clipped(pair)}` is not key=value", hint="such as --set max-num-seqs=64")
        try:
            found[name] = from_text(text)
        except ValueError as error:
            raise UsageError(
                f"the value in `--set {_clipped(pair)}` cannot be taken: {error}",
                hint='a value is JSON (64, true, null, {"a": 1}, "text") or plain text (auto)',
            ) from None
    return found


_SLO_KEYS = {"ttft": "ttft_s", "tpot": "tpot_s", "e2e": "e2e_s", "share": "share"}


def parse_slo(text: str | None) -> dict[str, float] | None:
    """Parse `--slo ttft=2,tpot=0.05`; seconds, and a share of requests."""
    if text is None:
        return None
    found: dict[str, float] = {}
    for pair in text.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        name = _SLO_KEYS.get(key.removesuffix("_s"))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if name is None or not number > 0 or number == float("inf"):
            raise UsageError(
                f"`--slo {text}`: `{pair.strip()}` is not one of {', '.join(_SLO_KEYS)} with a number above zero",
                hint="such as --slo ttft=2,tpot=0.05",
            )
        found[name] = number
    return found


_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def _clipped(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
