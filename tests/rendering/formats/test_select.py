"""Every format of every case: golden files, and what must hold for all of them."""

import itertools
import re
from collections.abc import Callable

import pytest
import yaml

from deploykit.catalog.engine import ContainerImage
from deploykit.errors import UnsupportedSettingError, UsageError
from deploykit.rendering.formats.select import Format
from tests.rendering.builders import FACTS, choice, make_plan, make_rehearsal
from tests.rendering.formats.cases import CASES, case_as, every_case, render_as

every_format = pytest.mark.parametrize("wanted", tuple(Format))
IN_CONTAINERS = tuple(Format)[1:]


@every_format
@every_case
def test_golden(case: str, wanted: Format, golden: Callable[[str, str], None]) -> None:
    files = case_as(wanted, case)
    golden(f"{case}/{wanted}/FILES", "".join(f"{path}\n" for path in files))
    for path, content in files.items():
        golden(f"{case}/{path}", content)


@every_format
@every_case
def test_same_input_same_bytes(case: str, wanted: Format) -> None:
    assert case_as(wanted, case) == case_as(wanted, case)


@every_format
def test_the_key_is_named_and_never_there(wanted: Format) -> None:
    with_key = "".join(case_as(wanted, "one-node-tp8").values())
    without = "".join(case_as(wanted, "one-node-tp8", key_required=False).values())
    assert "VLLM_API_KEY" in with_key
    assert "VLLM_API_KEY" not in without


@every_format
def test_weights_come_from_the_hub_at_the_plans_revision(wanted: Format) -> None:
    text = "".join(case_as(wanted, "one-node-tp8").values())
    assert "acme/big-moe" in text
    assert "0a1b2c3d4e5f" in text
    assert "./model" not in text
    assert "HF_HUB_OFFLINE" not in text


@every_format
def test_what_the_operator_says_of_the_hub_stays(wanted: Format) -> None:
    plan = make_plan(environment=(choice("HF_HUB_OFFLINE", "1", source="deploykit.yaml"),))
    assert "HF_HUB_OFFLINE" in "".join(file.content for file in render_as(wanted, plan).values())


@every_format
def test_other_weights_than_the_plans_are_refused(wanted: Format) -> None:
    with pytest.raises(UnsupportedSettingError, match="weights are served as the plan's model"):
        render_as(wanted, make_plan(settings=(choice("model", "/srv/big", source="--set"),)))


@pytest.mark.parametrize("wanted", IN_CONTAINERS)
def test_a_rehearsal_is_no_business_of_containers(wanted: Format) -> None:
    with pytest.raises(UsageError, match=f"as `{wanted}`"):
        render_as(wanted, make_rehearsal(), ("127.0.0.1",))


@pytest.mark.parametrize("wanted", IN_CONTAINERS)
def test_the_image_is_the_releases_or_the_operators(wanted: Format) -> None:
    pinned = ContainerImage(**FACTS, name="docker.io/acme/vllm", tag="v9", digest="sha256:" + "0" * 64)
    text = {
        "tag": "".join(case_as(wanted, "one-node-tp8").values()),
        "digest": "".join(f.content for f in render_as(wanted, make_plan(), known=pinned).values()),
        "own": "".join(case_as(wanted, "one-node-tp8", image="registry.example/vllm:1").values()),
    }
    assert re.search(r"[iI]mage[:=] ?docker\.io/acme/vllm:v9\.9\.0\n", text["tag"])
    assert "not known" in text["tag"]
    assert re.search(rf"[iI]mage[:=] ?docker\.io/acme/vllm@sha256:{'0' * 64}\n", text["digest"])
    assert "not known" not in text["digest"]
    assert re.search(r"[iI]mage[:=] ?registry\.example/vllm:1\n", text["own"])
    with pytest.raises(UsageError, match="no container image"):
        render_as(wanted, make_plan(), known=None)


CONFIGS = {
    Format.COMPOSE: "compose/node-0/engine-0/serve.yaml",
    Format.QUADLET: "quadlet/node-0/engine-0/serve.yaml",
}


@pytest.mark.parametrize(
    ("wanted", "case"), [*itertools.product(CONFIGS, ("one-node-tp8", "data-and-expert-parallel"))]
)
def test_the_settings_are_those_of_the_bundle(wanted: Format, case: str) -> None:
    """Word for word, but for the weights (hub or link) and the address, which the container publishes."""
    from tests.rendering.test_renderer import bundle_of

    own = yaml.safe_load(case_as(wanted, case)[CONFIGS[wanted]])
    bundled = yaml.safe_load(bundle_of(CASES[case][0]).file("engine/engine-0/serve.yaml").content)
    differ = {key for key in own | bundled if own.get(key) != bundled.get(key)}
    assert differ == {"model", "revision", "host"}


def test_weights_are_a_folder_of_the_host_or_a_claim() -> None:
    for wanted in (Format.COMPOSE, Format.QUADLET):
        assert "/srv/hub" in "".join(case_as(wanted, "one-node-tp8", weights="/srv/hub").values())
        for wrong in ("pvc:weights", "srv/hub", "/srv:ro"):
            with pytest.raises(UsageError, match="no folder on a host"):
                case_as(wanted, "one-node-tp8", weights=wrong)
    with pytest.raises(UsageError, match="neither a claim nor a folder"):
        case_as(Format.KUBERNETES, "one-node-tp8", weights="weights")
