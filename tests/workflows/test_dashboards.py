"""A Grafana gets the dashboard of a real deployment; one that refuses is said and costs nothing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploykit.errors import MonitoringError
from deploykit.intent import HostIntent, Intent, MonitoringIntent
from deploykit.workflows.dashboards import publish_dashboard
from deploykit.workflows.target import Target, real_hosts, this_machine

INTENT = Intent(
    model="m", node="n", engine="e", name="big", hosts=(HostIntent(name="a", address="192.0.2.1"),),
    monitoring=MonitoringIntent(grafana_url="https://grafana.example.org", prometheus_url="http://192.0.2.1:9090"),
)  # fmt: skip
REAL = real_hosts(INTENT, inventory_file=None, inventory_hosts=())


@dataclass
class Notes:
    said: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.said.append(text)


@dataclass
class FakeDashboards:
    error: MonitoringError | None = None
    published: list[tuple[str, str | None]] = field(default_factory=list)

    def publish(self, deployment: str, *, prometheus_url: str | None) -> str:
        if self.error:
            raise self.error
        self.published.append((deployment, prometheus_url))
        return "https://grafana.example.org/d/deploykit"


@dataclass
class FakeWorld:
    dashboards: FakeDashboards | None = field(default_factory=FakeDashboards)
    reporter: Notes = field(default_factory=Notes)


def go(world: Any, target: Target = REAL, intent: Intent = INTENT) -> list[str]:
    publish_dashboard(intent, target, world)
    return world.reporter.said


def test_the_dashboard_is_published_and_its_address_said() -> None:
    world = FakeWorld()
    assert go(world) == ["dashboard: https://grafana.example.org/d/deploykit"]
    assert world.dashboards.published == [("big", "http://192.0.2.1:9090")]


def test_a_grafana_that_refuses_is_said() -> None:
    (said,) = go(FakeWorld(FakeDashboards(MonitoringError("HTTP 401", hint="look at the token"))))
    assert "HTTP 401" in said
    assert "look at the token" in said


@pytest.mark.parametrize(
    ("world", "target", "intent"),
    [
        (FakeWorld(None), REAL, INTENT),
        (FakeWorld(), this_machine(data_dir=Path("/nowhere"), python="python3"), INTENT),
        (FakeWorld(), REAL, INTENT.model_copy(update={"monitoring": MonitoringIntent(enabled=False)})),
    ],
    ids=["no Grafana", "rehearsal", "no monitoring"],
)
def test_elsewhere_nothing_is_published(world: FakeWorld, target: Target, intent: Intent) -> None:
    assert go(world, target, intent) == []
    assert world.dashboards is None or world.dashboards.published == []
