"""The Compose files, held against the specification's own schema and read as data."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploykit.planning.plan import Parallelism
from deploykit.rendering.formats.select import Format
from tests.rendering.builders import choice, make_plan
from tests.rendering.formats.cases import CASES, TWO, case_as, every_case, render_as


def services(files: dict[str, str], node: int = 0) -> dict[str, Any]:
    return yaml.safe_load(files[f"compose/node-{node}/compose.yaml"])["services"]


def test_every_file_keeps_the_specifications_schema(tmp_path: Path) -> None:
    written = []
    for case in CASES:
        for path, content in case_as(Format.COMPOSE, case).items():
            if path.endswith("compose.yaml"):
                written.append(tmp_path / f"{case}-{path.replace('/', '-')}")
                written[-1].write_text(content)
    assert len(written) == 7
    assert checked(*written) == ""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(written[0].read_text().replace("capabilities:", "capabilitys:"))
    assert "wrong.yaml" in checked(wrong)


def checked(*files: Path) -> str:
    """Return what the schema says against the files."""
    program = Path(sys.executable).parent / "check-jsonschema"
    schema = ("--builtin-schema", "vendor.compose-spec", "--quiet")
    ran = subprocess.run([program, *schema, "-v", *files], capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr if ran.returncode else ""


@every_case
def test_each_node_has_its_processes_with_their_settings(case: str) -> None:
    plan, hosts = CASES[case]
    files = case_as(Format.COMPOSE, case)
    layout = plan.parallelism
    for node in range(len(hosts)):
        for name, service in services(files, node).items():
            assert [*service["entrypoint"], *service["command"]] == [
                "vllm",
                "serve",
                "--config",
                "/deploykit/serve.yaml",
            ]
            (mounted, _) = service["volumes"]
            assert f"compose/node-{node}/{mounted['source'].removeprefix('./')}" in files
            assert mounted["source"] == f"./{name}/serve.yaml"
    total = sum(len(services(files, node)) for node in range(len(hosts)))
    assert total == layout.replicas * layout.nodes_per_engine


def test_gpus_given_to_a_container_are_numbered_from_zero_inside() -> None:
    found = services(case_as(Format.COMPOSE, "two-replicas"))
    devices = [found[f"engine-{i}"]["deploy"]["resources"]["reservations"]["devices"][0] for i in (0, 1)]
    assert [device["device_ids"] for device in devices] == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
    assert all("CUDA_VISIBLE_DEVICES" not in service["environment"] for service in found.values())
    whole = services(case_as(Format.COMPOSE, "one-node-tp8"))["engine-0"]
    assert whole["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 8


def test_ranks_share_their_hosts_network_and_others_publish_a_port() -> None:
    alone = services(case_as(Format.COMPOSE, "one-node-tp8"))["engine-0"]
    assert alone["ports"] == ["8001:8001"]
    assert "network_mode" not in alone
    for node in (0, 1):
        rank = services(case_as(Format.COMPOSE, "two-node-engine"), node)[f"rank-{node}"]
        assert rank["network_mode"] == "host"
        assert "ports" not in rank
        assert ("healthcheck" in rank) == (node == 0)
        assert rank["environment"].get("VLLM_API_KEY") == (
            "${VLLM_API_KEY:?set it to the key that callers must send}" if node == 0 else None
        )


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", "127.0.0.1:8001:8001"), ("gpu1", "8001:8001")])
def test_a_port_is_published_where_the_engine_would_listen(host: str, port: str) -> None:
    files = {path: file.content for path, file in render_as(Format.COMPOSE, make_plan(), (host,)).items()}
    assert services(files)["engine-0"]["ports"] == [port]
    assert yaml.safe_load(files["compose/node-0/engine-0/serve.yaml"])["host"] == "0.0.0.0"  # noqa: S104 - inside the container


def test_a_rank_is_asked_for_its_health_where_it_listens() -> None:
    plan = make_plan(
        nodes=2,
        parallelism=Parallelism(tensor=16, nodes_per_engine=2),
        settings=(choice("host", "10.0.0.1", source="deploykit.yaml"),),
    )
    files = {path: file.content for path, file in render_as(Format.COMPOSE, plan, TWO).items()}
    assert "http://10.0.0.1:8000/health" in services(files)["rank-0"]["healthcheck"]["test"][-1]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=20))
def test_any_value_stays_itself(value: str) -> None:
    plan = make_plan(environment=(choice("AWKWARD", f"{value}${{X}}"),))
    files = {path: file.content for path, file in render_as(Format.COMPOSE, plan).items()}
    assert services(files)["engine-0"]["environment"]["AWKWARD"].replace("$$", "$") == f"{value}${{X}}"
