"""What running a plan asks for: worked by hand, and nothing promised that nobody knows."""

from deploykit.catalog.node import Host
from deploykit.catalog.profile import Serving
from deploykit.planning.plan import Operations
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from tests.planning.builders import READ, make_checkpoint, make_node, make_profile, make_rehearsal, make_request


def asks(request: PlanRequest) -> Operations:
    found = plan(request).operations
    assert found is not None
    return found


def test_one_engine_on_all_gpus_is_down_while_it_is_replaced() -> None:
    made = asks(make_request(operator_set={"tensor-parallel-size": 8}))
    assert made.upgrade == "in-place"
    assert "no room for its successor" in made.upgrade_because
    assert (made.download_gb, made.disk_gb, made.host_ram_gb) == (120, 240, None)


def test_replicas_can_be_replaced_one_by_one() -> None:
    made = asks(make_request(operator_set={"tensor-parallel-size": 4}))
    assert made.upgrade == "rolling"
    assert made.upgrade_because.startswith("2 engines can be restarted one after the other, with 1 of 2 serving")


def test_pinned_weights_are_counted_for_every_engine_of_a_node() -> None:
    profile = make_profile(checkpoints=(make_checkpoint(weights_gb=200, host_memory_gb=80),))
    made = asks(make_request(profile=profile, operator_set={"tensor-parallel-size": 4}))
    assert made.host_ram_gb == 160


def test_a_phase_has_seconds_only_where_they_were_published() -> None:
    assert [phase.seconds for phase in asks(make_request()).start] == [None, None, None]
    serving = Serving(min_vllm=None, first_start_s=3600, **READ)
    *_, whole = asks(make_request(profile=make_profile(serving=serving))).start
    assert (whole.name, whole.seconds) == ("all of it", 3600)
    assert READ["source"] in whole.because


def test_what_is_not_known_is_listed() -> None:
    pinned = make_profile(checkpoints=(make_checkpoint(revision="abc"),))
    assert asks(make_request(profile=pinned)).unknown == ()
    bare = make_node(host=Host(cpu_cores=None, ram_gb=None, disk_gb=None, **READ))
    size_unknown = make_profile(checkpoints=(make_checkpoint(weights_gb=None, min_memory_gb=120),))
    found = "; ".join(asks(make_request(profile=size_unknown, node=bare)).unknown)
    assert "size on the hub" in found
    assert "revision" in found
    assert "memory and disk" in found


def test_a_rehearsal_has_no_operations() -> None:
    assert plan(make_rehearsal()).operations is None
