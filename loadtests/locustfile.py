"""The load test as locust runs it, alone or as master and workers: `DEPLOYKIT_LOADTEST=run/loadtest.json locust -f ...`.

Each process that makes load leaves `samples-N.jsonl`, `generator-N.json` and `progress-N.json` beside `loadtest.json`.
The API key, where one is needed, comes by DEPLOYKIT_API_KEY.
"""

import contextlib
import os
import resource

from crew import Crew, Director
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner
from user import Conductor, read_spec, watch

__all__ = ["Conductor"]


@events.init.add_listener
def join(environment: Environment, **_: object) -> None:
    """Take this process's place among the processes of the test."""
    spec, processes = read_spec(), int(os.environ.get("DEPLOYKIT_LOADTEST_PROCESSES", "1"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # each stream is a file; what the system does not grant stays so
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    runner = environment.runner
    if isinstance(runner, MasterRunner | LocalRunner):
        Director(environment, processes, len(spec.workload.stages))
    if isinstance(runner, MasterRunner):
        watch(environment, spec)
    else:
        Conductor.crew = Crew(environment, processes)
