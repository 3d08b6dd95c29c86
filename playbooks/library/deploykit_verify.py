#!/usr/bin/python
"""Ask the engines for a completion, and read back what they are. Changes nothing."""

DOCUMENTATION = r"""
module: deploykit_verify
short_description: Prove that the engines of this host serve the model
options:
  ports: {type: list, elements: int, required: true}
  model: {type: str, required: true}
  version: {type: str, required: true}
  key: {type: str}
  timeout_s: {type: float, default: 300}
"""

import json
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import request

CACHE_METRIC = "vllm:cache_config_info"


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


def verify(port, params, ask=request):
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
    status, metrics = ask(port, "/metrics")
    cache = labels(metrics, CACHE_METRIC) if status == 200 else {}
    return {
        "port": port,
        "engine_version": version,
        "completion_ms": round(elapsed, 1),
        "num_gpu_blocks": number(cache.get("num_gpu_blocks")),
        "block_size": number(cache.get("block_size")),
        "kv_cache_tokens": number(cache.get("kv_cache_size_tokens")),
    }


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
            "key": {"type": "str", "no_log": True},
            "timeout_s": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        engines = [verify(port, module.params) for port in module.params["ports"]]
    except WrongAnswerError as error:
        module.fail_json(msg=str(error))
    except (LookupError, TypeError, AttributeError) as error:
        module.fail_json(msg="an engine answered in a form that this deploykit does not know: {0!r}".format(error))
    module.exit_json(changed=False, deploykit_result={"engines": engines, **(engines[0] if engines else {})})


if __name__ == "__main__":
    main()
