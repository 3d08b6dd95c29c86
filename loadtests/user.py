"""The locust user that runs one process's part of a load test, with a greenlet for each request in flight."""

import atexit
import contextlib
import datetime as dt
import json
import logging
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import gevent
from calibration import CannotCalibrate, calibrate
from certificate import CannotCertify, certify
from crew import Crew
from locust import User, task
from locust.env import Environment
from probe import Probe
from prompts import Lengths, Prompts
from recorder import Recorder
from schedule import expected_s
from sources import CannotReplay, Sources
from traffic import Traffic
from wire import Server

from deploykit.measuring.certificate import Certificate
from deploykit.measuring.certifying import certified_load
from deploykit.measuring.samples import CANNOT_RECORD, Calibration, LoadTestSpec, ProcessFacts, RequestSample

_PROGRESS_EVERY_S = 0.5
_SLACK_S = 300
"""Beyond the stages and their drains: calibration and start-up. Then the hard stop."""
_CANNOT_GO_ON = 3


def read_spec() -> LoadTestSpec:
    """Return what this process was started for."""
    file = Path(os.environ["DEPLOYKIT_LOADTEST"])
    return LoadTestSpec.model_validate(json.loads(file.read_text(encoding="utf-8")))


def watch(environment: Environment, spec: LoadTestSpec) -> "gevent.Greenlet":
    """End the run when it lasts longer than it can, or when the process that wanted it is gone."""
    return gevent.spawn(_watch, environment, spec)


def _watch(environment: Environment, spec: LoadTestSpec) -> str:
    workload, parent = spec.workload, int(os.environ.get("DEPLOYKIT_LOADTEST_PARENT", os.getppid()))
    began = time.perf_counter()
    limit = expected_s(workload) + len(workload.stages) * spec.drain_s + _SLACK_S
    while time.perf_counter() - began < limit and os.getppid() == parent:
        gevent.sleep(1)
    why = "hard stop" if time.perf_counter() - began >= limit else "parent gone"
    Conductor.stopped_by = why
    gevent.spawn(environment.runner.quit)
    return why


class Conductor(User):
    """Runs its process's part of a load test's stages and leaves its files in the folder of `loadtest.json`."""

    crew: ClassVar[Crew]
    stopped_by: ClassVar[str | None] = None
    _began: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._spec = read_spec()
        self._recorder: Recorder | None = None
        self._zero, self._started_at = time.perf_counter(), dt.datetime.now(dt.UTC)
        self._traffic: Traffic | None = None
        self._probe: Probe | None = None
        self._calibration: Calibration | None = None
        self._uncertified: str | None = None
        self._written = False
        self._watchers: list[gevent.Greenlet] = []

    @task
    def load(self) -> None:
        """Calibrate, run the stages, and end locust."""
        if (
            Conductor._began
        ):  # locust gives a lost process's users to those that are left: their part is not begun twice
            gevent.sleep(3600)
            return
        Conductor._began = True
        self.environment.events.quitting.add_listener(self.close)
        atexit.register(self.close)
        failed = True
        try:
            self._run()
            failed = False
        except (CannotCalibrate, CannotReplay) as reason:
            self._fail(str(reason))
        except OSError:
            self._cannot_record()
        finally:
            if not failed:
                self.close()
            self.crew.end(failed=failed or self.environment.process_exit_code not in {None, 0})
        gevent.sleep(3600)  # locust ends this user; returning would begin the task again

    def _run(self) -> None:
        spec, crew = self._spec, self.crew
        self._recorder = Recorder(Path(os.environ["DEPLOYKIT_LOADTEST"]).parent, crew.index)
        self._watchers = [gevent.spawn(self._show_progress), watch(self.environment, spec)]
        self._recorder.open()
        sources = Sources.read(spec, Path(os.environ["DEPLOYKIT_LOADTEST"]).parent)
        server = Server(spec.base_url, api_key=os.environ.get("DEPLOYKIT_API_KEY"), clock=self._now)
        first = (
            calibrate(server, spec.model, key=f"{spec.workload.seed}/{spec.nonce or ''}") if crew.index == 0 else None
        )
        self._certify(self._recorder)
        self._zero, self._started_at, self._calibration = crew.ready(first)
        self._probe = Probe()
        self._traffic = Traffic(
            spec=spec,
            crew=crew,
            server=self._server(),  # its stamps count from the zero that all processes share
            sources=sources,
            prompts=Prompts(spec.workload, Lengths.of(self._calibration), nonce=spec.nonce or ""),
            recorder=self._recorder,
            zero=self._zero,
            on_sample=self._tell_locust,
        )
        self._traffic.run()

    def _certify(self, recorder: Recorder) -> None:
        """Find out what this process adds to its times, all processes at once; without it the run goes on, and says so."""
        spec = self._spec
        if not spec.certificate_s:
            return
        self.crew.meet()
        load = certified_load(spec.workload, self.crew.processes)
        try:
            recorder.certificate = certify(
                load.streams, load.events_per_s, spec.certificate_s, stamped=not spec.base_url.startswith("https:")
            )
        except (CannotCertify, OSError, ValueError, LookupError) as reason:
            self._uncertified = str(reason) or type(reason).__name__
        with contextlib.suppress(OSError):  # as below: it is for the operator's eyes
            self._tell_progress(recorder)

    def close(self, **_: object) -> None:
        """Cut off what still runs and write the run's files; locust calls this at its end, whatever ended it.

        A worker that is told to end twice over, by a signal and by its master, ends while this is still at it: Python's
        own end then comes here again.
        """
        if self._written or self._recorder is None:
            return
        for watcher in self._watchers:
            watcher.kill(block=False)
        try:
            self._close(self._recorder)
            self._written = True
        except OSError:
            self._cannot_record()

    def _close(self, recorder: Recorder) -> None:
        traffic = self._traffic
        if traffic is None:
            recorder.close(None)
            return
        if len(traffic.stage_ends_s) < len(self._spec.workload.stages):
            Conductor.stopped_by = self.stopped_by or "signal"
            traffic.stage_ends_s += [self._now()] * (len(traffic.stage_starts_s) - len(traffic.stage_ends_s))
        traffic.cut_off()
        if traffic.error:
            raise traffic.error
        self._tell_progress(recorder)
        recorder.close(self._facts(traffic, recorder.certificate))

    def _facts(self, traffic: Traffic, certificate: Certificate | None) -> ProcessFacts:
        probe = self._probe
        if probe:
            probe.stop()
        return ProcessFacts(
            process=self.crew.index,
            host=platform.node(),
            locust=version("locust"),
            python=platform.python_version(),
            started_at=self._started_at,
            stage_starts_s=tuple(traffic.stage_starts_s),
            stage_ends_s=tuple(traffic.stage_ends_s),
            loop_lag_p99_s=probe.lag_p99_s() if probe else None,
            loop_lag_max_s=probe.lag_max_s() if probe else None,
            cpu_share=probe.cpu_share() if probe else None,
            clock_error_s=self.crew.clock_error_s,
            calibration=self._calibration,
            certificate=certificate,
            uncertified=self._uncertified,
            stopped_by=self.stopped_by,
        )

    def _server(self) -> Server:
        return Server(self._spec.base_url, api_key=os.environ.get("DEPLOYKIT_API_KEY"), clock=self._now)

    def _now(self) -> float:
        return time.perf_counter() - self._zero

    def _cannot_record(self) -> None:
        """Say by the exit code alone that a file could not be written: another file could not be written either."""
        logging.getLogger(__name__).exception("the run could not be recorded")
        self.environment.process_exit_code = CANNOT_RECORD

    def _fail(self, what: str) -> None:
        self.environment.process_exit_code = _CANNOT_GO_ON
        if self._recorder:
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
        while self._recorder:
            with contextlib.suppress(OSError):  # it is for the operator's eyes; the samples say what went wrong
                self._tell_progress(self._recorder)
            gevent.sleep(_PROGRESS_EVERY_S)

    def _tell_progress(self, recorder: Recorder) -> None:
        traffic = self._traffic
        began = traffic.stage_starts_s[0] if traffic and traffic.stage_starts_s else self._now()
        recorder.progress(
            stage=traffic.stage if traffic else 0,
            stages=len(self._spec.workload.stages),
            elapsed_s=max(0.0, self._now() - began),
            expected_s=expected_s(self._spec.workload),
            in_flight=len(traffic.flights) if traffic else 0,
        )
