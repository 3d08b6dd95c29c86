"""Builds what a command needs: catalogue, intent, world. Each part only when it is asked for, to start quickly."""

import os
import platform
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit import __version__, paths
from deploykit.errors import UsageError
from deploykit.settings import OVERRIDES, Environment, read_environment

if TYPE_CHECKING:
    from deploykit.catalog.catalog import Catalog
    from deploykit.cost_intent import CostIntent
    from deploykit.effects.deployment_secrets import DeploymentSecrets
    from deploykit.effects.memories import FileMemories
    from deploykit.effects.operator_secrets import OperatorSecrets
    from deploykit.effects.records import Records
    from deploykit.effects.run_store import RunStores
    from deploykit.intent import Intent
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
        from deploykit.effects.files import storage
        from deploykit.effects.yaml_files import YamlCatalog

        extra = self.environment.profiles
        if extra is not None:
            with storage(extra, "read"):
                if not extra.is_dir():
                    raise UsageError(
                        f"DEPLOYKIT_PROFILES is not a folder: {extra}",
                        hint="it holds models/, nodes/, prices/ and so on",
                    )
        return YamlCatalog(paths.shipped("profiles"), extra=extra)

    @cached_property
    def secrets(self) -> "OperatorSecrets":
        """The operator's secrets; each is read, or its command run, when somebody needs it."""
        from deploykit.effects.operator_secrets import OperatorSecrets

        return OperatorSecrets(self.environment.model_dump())

    @property
    def key_given(self) -> bool:
        """Whether there is a key for the caller `default`; nothing is read or run."""
        from deploykit.effects.operator_secrets import API_KEY

        return self.secrets.given(API_KEY)

    def anchored(self, intent: "Intent", file: Path | None) -> "Intent":
        """Return the intent with whole paths of its files: relative ones start where the intent file is."""
        from deploykit.effects.gateway_secrets import anchored, whole

        chosen = self.intent_file(file)
        base = chosen.parent if chosen else Path()
        hosts = tuple(
            host.model_copy(update={"key_file": whole(host.key_file, base)}) if host.key_file else host
            for host in intent.hosts
        )
        return intent.model_copy(update={"gateway": anchored(intent.gateway, base), "hosts": hosts})

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

    @cached_property
    def memories(self) -> "FileMemories":
        """What engines said of their memory when they last started."""
        from deploykit.effects.memories import FileMemories

        return FileMemories(paths.data_dir())

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
        from deploykit.effects.files import storage

        named = file or self.environment.config
        chosen = named or Path(INTENT_FILE)
        with storage(chosen, "read"):
            if chosen.is_file():
                return chosen
        if os.path.lexists(chosen):  # ignoring it would serve something else than what stands there
            raise UsageError(f"{chosen} is not a file", hint="a folder, or a link to something that is gone?")
        if named is not None:
            raise UsageError(f"there is no file {named}", hint="`deploykit init MODEL --node NODE` writes one")
        return None

    def _checked_file(self, file: Path) -> dict[str, Any]:
        """Read the intent file and check its keys alone, so that a mistake is reported with its line."""
        from deploykit.effects.yaml_files import load_yaml, load_yaml_model
        from deploykit.intent import Intent

        values = load_yaml(file, quote=False).data  # a line of it may hold a secret, meant or by mistake
        needed = {key: value for key, value in self.defaults["intent"].items() if key not in values}
        load_yaml_model(file, Intent, **needed)
        return values

    def dashboards(self, intent: "Intent") -> "Dashboards | None":
        """Return the operator's Grafana, if the intent names one; UsageError without a token for it."""
        from deploykit.effects.grafana import Grafana
        from deploykit.effects.operator_secrets import GRAFANA_TOKEN

        url = intent.monitoring.grafana_url
        if url is None:
            return None
        token = self.secrets.read(GRAFANA_TOKEN)
        if token is None:
            raise UsageError(
                f"there is no token for the Grafana at {url}",
                hint="set DEPLOYKIT_GRAFANA_TOKEN, or the same with _FILE or _COMMAND, or leave out `monitoring.grafana_url`",
            )
        return Grafana(url, token, paths.shipped("profiles") / "dashboards" / "deploykit.json")

    def mirror(self, given: str | None) -> str | None:
        """Return where weights come from instead of the hub: a folder's whole path, an address, or None."""
        from deploykit.catalog.secretive import covered

        named = given or self.environment.mirror or os.environ.get("HF_ENDPOINT") or None
        if named is None:
            return None
        if (shown := covered(named)) != named:
            raise UsageError(
                f"the mirror `{shown}` has a login in its address, which would be written to the hosts",
                hint="let the mirror know this machine and the hosts by something else, such as their addresses",
            )
        if named.startswith(("http://", "https://")):
            return named
        if "://" in named:
            raise UsageError(
                f"`{named}` is no mirror", hint="a folder, or an address that begins with http:// or https://"
            )
        return str(Path(named).expanduser().absolute())

    def world(
        self,
        reporter: "Reporter",
        dashboards: "Dashboards | None" = None,
        *,
        secrets: "DeploymentSecrets | None" = None,
        what: str = "deploykit up",
    ) -> "World":
        """Return every port, for real.

        Args:
            reporter: who is told.
            dashboards: the operator's Grafana.
            secrets: of the deployment; who looks at hosts before there is one needs none.
            what: how locks on hosts call the command at work.

        """
        from deploykit.effects.ansible import AnsibleRunner
        from deploykit.effects.clock import SystemClock
        from deploykit.effects.deployment_secrets import DeploymentSecrets
        from deploykit.effects.load_inputs import FileInputs
        from deploykit.effects.lock import holder
        from deploykit.effects.locust import LocustGenerator
        from deploykit.effects.prometheus import PrometheusMetrics
        from deploykit.workflows.world import World

        release = self.catalog.engine(self.defaults["intent"]["engine"])
        given = secrets or DeploymentSecrets()
        return World(
            playbooks=AnsibleRunner(paths.shipped("playbooks"), withheld=given.withheld),
            generator=LocustGenerator(paths.shipped("loadtests"), withheld=given.withheld),
            inputs=FileInputs(),
            metrics=PrometheusMetrics(release.metrics),
            clock=SystemClock(),
            reporter=reporter,
            runs=self.runs,
            records=self.records,
            profiles=paths.shipped("profiles"),
            secrets=given.playbooks,
            caller_key=given.caller_key,
            memories=self.memories,
            dashboards=dashboards,
            holder=holder(what),
            versions={
                "deploykit": __version__,
                "python": platform.python_version(),
                "platform": f"{sys.platform} {platform.machine()}",
            },
        )


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """Parse `--set key=value`; a value is JSON if it is JSON, else text. UsageError for what is neither."""
    from deploykit.catalog.secretive import covered
    from deploykit.setting_value import from_text

    found: dict[str, Any] = {}
    for given in pairs or ():
        key, equals, text = given.partition("=")
        pair = f"{key}={covered(text, key)}" if equals else given
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
