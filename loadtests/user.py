"""The locust user that runs the whole load test: one per process, with a greenlet for each request in flight."""

import contextlib
import datetime as dt
import json
import logging
import os
import platform
import secrets
import time
from importlib.metadata import version
from pathlib import Path

import gevent
from calibration import CannotCalibrate, calibrate
from locust import User, task
from locust.env import Environment
from probe import Probe
from prompts import Lengths, Prompts
from recorder import Recorder
from schedule import expected_s
from traffic import Traffic
from wire import Server

from deploykit.measuring.samples import CANNOT_RECORD, Calibration, GeneratorFacts, LoadTestSpec, RequestSample

_PROGRESS_EVERY_S = 0.5
_SLACK_S = 300
"""Beyond the stages and their drains: calibration and start-up. Then the hard stop."""


class Conductor(User):
    """Runs a load test's stages and leaves its files in the folder of `loadtest.json`."""

    fixed_count = 1

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        file = Path(os.environ["DEPLOYKIT_LOADTEST"])
        self._spec = LoadTestSpec.model_validate(json.loads(file.read_text(encoding="utf-8")))
        self._recorder = Recorder(file.parent)
        self._nonce = self._spec.nonce or secrets.token_hex(4)
        self._zero, self._started_at = time.perf_counter(), dt.datetime.now(dt.UTC)
        self._traffic: Traffic | None = None
        self._probe: Probe | None = None
        self._calibration: Calibration | None = None
        self._stopped_by: str | None = None
        self._closed = False
        self._watchers = [gevent.spawn(self._show_progress), gevent.spawn(self._watch)]
        environment.events.quitting.add_listener(self.close)

    @task
    def load(self) -> None:
        """Calibrate, run the stages, and end locust."""
        try:
            self._run()
        except CannotCalibrate as reason:
            self._fail(str(reason))
        except OSError:
            self._cannot_record()
        finally:
            gevent.spawn(self.environment.runner.quit)
        gevent.sleep(3600)  # locust ends this user; returning would begin the task again

    def _run(self) -> None:
        self._recorder.open()
        server = Server(self._spec.base_url, api_key=os.environ.get("DEPLOYKIT_API_KEY"), clock=self._now)
        key = f"{self._spec.workload.seed}/{self._nonce}"
        self._calibration = calibrate(server, self._spec.model, key=key)
        lengths = Lengths(self._calibration.tokens_per_word, self._calibration.template_tokens)
        self._probe = Probe()
        self._traffic = Traffic(
            spec=self._spec,
            server=server,
            prompts=Prompts(self._spec.workload, lengths, nonce=self._nonce),
            recorder=self._recorder,
            zero=self._zero,
            on_sample=self._tell_locust,
        )
        self._traffic.run()

    def close(self, **_: object) -> None:
        """Cut off what still runs and write the run's files; locust calls this at its end, whatever ended it."""
        if self._closed:
            return
        self._closed = True
        for watcher in self._watchers:
            watcher.kill(block=False)
        try:
            self._close()
        except OSError:
            self._cannot_record()

    def _close(self) -> None:
        traffic = self._traffic
        if traffic is None:
            self._recorder.close(None)
            return
        if len(traffic.stage_ends_s) < len(self._spec.workload.stages):
            self._stopped_by = self._stopped_by or "signal"
            traffic.stage_ends_s += [self._now()] * (len(traffic.stage_starts_s) - len(traffic.stage_ends_s))
        traffic.cut_off()
        if traffic.error:
            raise traffic.error
        self._tell_progress()
        self._recorder.close(self._facts(traffic))

    def _facts(self, traffic: Traffic) -> GeneratorFacts:
        probe = self._probe
        if probe:
            probe.stop()
        return GeneratorFacts(
            locust=version("locust"),
            python=platform.python_version(),
            processes=1,
            started_at=self._started_at,
            stage_starts_s=tuple(traffic.stage_starts_s),
            stage_ends_s=tuple(traffic.stage_ends_s),
            loop_lag_p99_s=probe.lag_p99_s() if probe else None,
            loop_lag_max_s=probe.lag_max_s() if probe else None,
            cpu_share=probe.cpu_share() if probe else None,
            calibration=self._calibration,
            nonce=self._nonce,
            stopped_by=self._stopped_by,
        )

    def _now(self) -> float:
        return time.perf_counter() - self._zero

    def _cannot_record(self) -> None:
        """Say by the exit code alone that a file could not be written: another file could not be written either."""
        logging.getLogger(__name__).exception("the run could not be recorded")
        self.environment.process_exit_code = CANNOT_RECORD

    def _fail(self, what: str) -> None:
        self.environment.process_exit_code = 3
        self._recorder.failure(what)

    def _tell_locust(self, sample: RequestSample) -> None:
        """Feed locust's own table: an end-of-run summary in its log, and nothing that is measured from."""
        self.environment.events.request.fire(
            request_type="POST",
            name="chat",
            response_time=((sample.done_s or sample.intended_s) - sample.intended_s) * 1000,
            response_length=sample.output_tokens or 0,
            exception=None if sample.outcome == "ok" else f"{sample.outcome}: {sample.error}",
            context={},
        )

    def _show_progress(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # it is for the operator's eyes; the samples say what went wrong
                self._tell_progress()
            gevent.sleep(_PROGRESS_EVERY_S)

    def _tell_progress(self) -> None:
        traffic = self._traffic
        began = traffic.stage_starts_s[0] if traffic and traffic.stage_starts_s else self._now()
        self._recorder.progress(
            stage=traffic.stage if traffic else 0,
            stages=len(self._spec.workload.stages),
            elapsed_s=self._now() - began,
            expected_s=expected_s(self._spec.workload),
            in_flight=len(traffic.flights) if traffic else 0,
        )

    def _watch(self) -> None:
        """End the run when it lasts longer than it can, or when the process that wanted it is gone."""
        workload, parent = self._spec.workload, int(os.environ.get("DEPLOYKIT_LOADTEST_PARENT", os.getppid()))
        limit = expected_s(workload) + len(workload.stages) * self._spec.drain_s + _SLACK_S
        while self._now() < limit and os.getppid() == parent:
            gevent.sleep(1)
        self._stopped_by = "hard stop" if self._now() >= limit else "parent gone"
        self.environment.runner.quit()
