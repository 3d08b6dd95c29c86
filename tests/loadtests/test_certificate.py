"""What the generator adds to its times: the arithmetic by hand, and a real measurement on the paced engine."""

import subprocess
import sys
import time
from pathlib import Path

import certificate
import pytest
from certificate import CannotCertify, Load, Reading, certify, compare

ENGINE = Path(certificate.__file__).with_name("paced_engine.py")


def test_times_are_compared_with_the_truth() -> None:
    # the request comes 1 ms after it was sent, the tokens are seen 2, 2 and 5 ms after they went
    first = Reading(0, sent=10.0, tokens=[10.103, 10.203, 10.306], coalesced=0, stamp="kernel")
    second = Reading(1, sent=10.5, tokens=[10.601, 10.701, 10.701], coalesced=1, stamp="user")
    truth = [
        [10_001_000_000, 10_101_000_000, 10_201_000_000, 10_301_000_000],
        [10_500_000_000, 10_601_000_000, 10_701_000_000, 10_801_000_000],
    ]
    found = compare(Load(10.0, 11.0, [first, second]), truth, streams=2, wanted_events_per_s=8)
    assert (found.events_per_s, found.responses, found.seconds) == (6, 2, 1)
    assert found.ttft_added_p50_s == pytest.approx(0)
    assert found.ttft_added_p99_s == pytest.approx(0.003)  # 1 ms there, 2 ms back
    assert found.itl_added_p50_s == pytest.approx(0)  # of 0, 0, 3 and 100 ms
    assert found.itl_added_p99_s == pytest.approx(0.1)
    assert found.coalesced_share == pytest.approx(1 / 6)
    assert found.stamp == "user"


def test_a_token_that_was_lost_is_no_certificate() -> None:
    one = Reading(0, sent=10.0, tokens=[10.1], coalesced=0, stamp="kernel")
    with pytest.raises(CannotCertify, match="answer 0 had 2 tokens, 1 were read"):
        compare(Load(10.0, 11.0, [one]), [[1, 2, 3]], streams=1, wanted_events_per_s=1)


def test_a_small_load_is_measured_on_the_engine() -> None:
    found = certify(4, 100, 1)
    assert (found.streams, found.wanted_events_per_s, found.seconds) == (4, 100, 1)
    assert found.responses >= 4
    assert found.events_per_s > 10
    assert found.ttft_added_p50_s > 0
    assert found.itl_added_p50_s >= 0
    assert found.stamp == ("kernel" if sys.platform == "linux" else "user")


def test_reads_that_the_kernel_does_not_stamp_are_measured_as_such() -> None:
    found = certify(2, 100, 0.5, stamped=False)  # what TLS leaves
    assert found.stamp == "user"
    assert found.ttft_added_p99_s > 0


def test_an_engine_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "engine.py"
    broken.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(certificate, "_ENGINE", broken)
    monkeypatch.setattr(certificate, "_OVERTIME_S", 0.2)
    with pytest.raises(CannotCertify, match=r"did not end within 0\.4 s"):
        certify(1, 10, 0.2)


def test_an_engine_that_cannot_be_started_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CannotCertify, match="cannot be started"):
        certify(1, 10, 0.2)


def test_a_slow_load_ends_in_time_all_the_same() -> None:
    began = time.monotonic()
    assert certify(3, 0.1, 0.5).responses >= 3
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("load", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_no_load_is_refused(load: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="no load"):
        certify(*load)


def test_an_engine_that_does_not_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "engine.py"
    broken.write_text("raise SystemExit(1)")
    monkeypatch.setattr(certificate, "_ENGINE", broken)
    with pytest.raises(CannotCertify, match="did not start"):
        certify(1, 10, 1)


def test_an_engine_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "engine.py"
    broken.write_text("print(9, flush=True); import time; time.sleep(60)")  # nobody listens there
    monkeypatch.setattr(certificate, "_ENGINE", broken)
    with pytest.raises(CannotCertify, match="the paced engine failed: ConnectionRefusedError"):
        certify(1, 10, 1)


def test_the_engine_ends_with_whoever_started_it() -> None:
    command = [sys.executable, str(ENGINE), "0.01", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        assert engine.stdin is not None
        assert int(engine.stdout.readline()) > 0
        engine.stdin.close()  # as when its starter is killed
        assert engine.wait(10) == 0
