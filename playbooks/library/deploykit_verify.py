#!/usr/bin/python
"""Ask the engines for a completion, and read back what they are. Changes nothing."""

DOCUMENTATION = r"""
module: deploykit_verify
short_description: Prove that the engines of this host serve the model
options:
  ports: {type: list, elements: int, required: true}
  model: {type: str, required: true}
  version: {type: str, required: true}
  timeout_s: {type: float, default: 300}
  at_once: {type: int, default: 0, description: How many more completions are asked for at the same time.}
  supervision: {type: str, choices: [supervisord, systemd], description: Who keeps the engines' logs.}
  root: {type: path, description: "Deploykit's folder on this host, with the engines' key."}
  names: {type: dict, default: {}, description: 'The instance that listens on each port, to find its log.'}
"""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import request
from ansible.module_utils.deploykit_keys import engine_key
from ansible.module_utils.deploykit_logs import log_of, memory_of, since_start

CACHE_METRIC = "vllm:cache_config_info"
# A start is looked for in so many last lines; an engine that has run for long has written more since.
LOG_LINES = 20000


class WrongAnswerError(Exception):
    """What an engine answered that it should not have."""


def labels(metrics, name):
    """Return the labels of a metric's first sample in Prometheus' text format; empty if it is not there."""
    for line in metrics.splitlines():
        if line.startswith(name + "{"):
            return dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
    return {}


def number(text):
    """Return a label's whole number; None if it is missing or no number."""
    return int(text) if text is not None and re.match(r"\d+$", text) else None


def decimal(text):
    """Return a label's number; None if it is missing or no number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def startup(port, params):
    """Return what the engine on a port said of its memory when it started."""
    name = params["names"].get(str(port))
    if name is None or params["supervision"] is None:
        return memory_of([])
    return memory_of(since_start(log_of(params, name, LOG_LINES)))


def verify(port, params, ask=request, said=startup):
    """Return the facts of one engine; raises WrongAnswerError."""
    key = params["key"]
    version = _json(ask(port, "/version"), port, "/version").get("version")
    if version is None or version.split("+")[0] != params["version"].split("+")[0]:
        raise WrongAnswerError("port {0} runs version {1}, the plan says {2}".format(port, version, params["version"]))
    models = [entry["id"] for entry in _json(ask(port, "/v1/models", key=key), port, "/v1/models")["data"]]
    if params["model"] not in models:
        raise WrongAnswerError(
            "port {0} serves {1}, not `{2}`".format(port, ", ".join(models) or "nothing", params["model"])
        )
    body = {"model": params["model"], "max_tokens": 4, "messages": [{"role": "user", "content": "ok"}]}
    began = time.monotonic()
    path = "/v1/chat/completions"
    answer = _json(ask(port, path, body=body, key=key, timeout=params["timeout_s"]), port, path)
    elapsed = (time.monotonic() - began) * 1000
    tokens = answer.get("usage", {}).get("completion_tokens", 0)
    if not answer.get("choices") or tokens < 1:
        raise WrongAnswerError("port {0} answered without a token: {1}".format(port, json.dumps(answer)[:300]))
    _at_once(port, dict(body, max_tokens=16), params, ask)
    status, metrics = ask(port, "/metrics")
    cache = labels(metrics, CACHE_METRIC) if status == 200 else {}
    return {
        "port": port,
        "engine_version": version,
        "completion_ms": round(elapsed, 1),
        "num_gpu_blocks": number(cache.get("num_gpu_blocks")),
        "block_size": number(cache.get("block_size")),
        "kv_cache_tokens": number(cache.get("kv_cache_size_tokens")),
        "max_concurrency": decimal(cache.get("kv_cache_max_concurrency")),
        **said(port, params),
    }


def _at_once(port, body, params, ask):
    """Ask for several completions together: what answers one alone may fail at its first batch."""
    count, path = params["at_once"], "/v1/chat/completions"
    if count < 1:
        return
    with ThreadPoolExecutor(count) as pool:
        one = partial(ask, port, path, body=body, key=params["key"], timeout=params["timeout_s"])
        for number, asked in enumerate([pool.submit(one) for _ in range(count)], 1):
            try:
                _json(asked.result(), port, path)
            except WrongAnswerError as error:
                raise WrongAnswerError(
                    "of {0} requests at once, number {1}: {2}".format(count, number, error)
                ) from None


def _json(answer, port, path):
    status, text = answer
    if status is None:
        raise WrongAnswerError("port {0} does not answer {1}: {2}".format(port, path, text))
    if status == 401:
        raise WrongAnswerError("port {0} does not accept the API key".format(port))
    if status != 200:
        raise WrongAnswerError("port {0} answers {1} with HTTP {2}: {3}".format(port, path, status, text[:500]))
    try:
        return json.loads(text)
    except ValueError:
        raise WrongAnswerError(
            "port {0} answers {1} with what is not JSON: {2}".format(port, path, text[:200])
        ) from None


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "required": True},
            "model": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "timeout_s": {"type": "float", "default": 300},
            "at_once": {"type": "int", "default": 0},
            "supervision": {"type": "str", "choices": ["supervisord", "systemd"]},
            "root": {"type": "path"},
            "names": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        params = dict(module.params, key=engine_key(module.params["root"] or ""))
        engines = [verify(port, params) for port in module.params["ports"]]
    except WrongAnswerError as error:
        module.fail_json(msg=str(error))
    except (LookupError, TypeError, AttributeError) as error:
        module.fail_json(msg="an engine answered in a form that this deploykit does not know: {0!r}".format(error))
    module.exit_json(changed=False, deploykit_result={"engines": engines, **(engines[0] if engines else {})})


if __name__ == "__main__":
    main()
