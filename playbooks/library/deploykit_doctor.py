#!/usr/bin/python
"""Look at what runs on a host without changing it: engines, their counters, versions, disk, gateway and certificate."""

DOCUMENTATION = r"""
module: deploykit_doctor
short_description: Check a running deployment on a host
description: Reads and asks; does not fail because of a finding.
options:
  root: {type: path, required: true}
  supervision: {type: str, required: true, choices: [supervisord, systemd]}
  instances: {type: list, elements: dict, required: true, description: What deploykit_engine says of each.}
  metrics: {type: dict, required: true, description: "What the engine's release calls its metrics."}
  version: {type: str, required: true}
  release: {type: str, required: true}
  model: {type: str, required: true}
  services: {type: list, elements: str, default: [], description: Services of ours that must be active here.}
  domain: {type: str, description: What the certificate of the gateway on this host names; none without TLS.}
  authority: {type: path, description: Who signed it; the host's own authorities where this is not given.}
  gateway_port: {type: int, default: 443}
"""

import os
import shutil
import socket
import ssl
import time

from ansible.module_utils import deploykit_check_engine as check
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_finding import run_tool, skipped, summary
from ansible.module_utils.deploykit_host import request


def look(params):
    """Make every check."""
    findings = []
    for entry in params["instances"]:
        findings += about_engine(entry, params)
    if not params["instances"]:
        findings.append(skipped("engine", "no engine was planned for this host"))
    root = params["root"] if os.path.isdir(params["root"]) else "/"
    usage = shutil.disk_usage(root)
    findings.append(check.disk(root, usage.free, usage.total))
    for name in params["services"]:
        unit = "deploykit-{0}.service".format(name)
        findings.append(check.service(name, run_tool("systemctl", "show", "--property=ActiveState", unit)))
    if "gateway" in params["services"]:
        findings.append(_certificate(params["domain"], params["gateway_port"], params["authority"]))
    return findings


def about_engine(entry, params):
    """Return what is found of one instance; of one that is down there is no more to ask."""
    name = entry["name"]
    findings = [check.engine(entry)]
    if params["supervision"] == "systemd":
        unit = "deploykit-{0}.service".format(name)
        findings.append(check.restarts(name, run_tool("systemctl", "show", "--property=NRestarts", unit)))
    else:
        findings.append(skipped(name + " restarts", "supervisord does not count them"))
    if entry["health"] != "ok":
        return findings
    status, metrics = request(entry["port"], "/metrics")
    findings += check.counters(name, metrics if status == 200 else None, params["metrics"])
    _, version = request(entry["port"], "/version")
    findings.append(check.versions(entry, version, params["version"], params["release"], params["model"]))
    return findings


def _certificate(domain, port, authority):
    if not domain:
        return check.certificate(domain, None, time.time(), "")
    try:
        context = ssl.create_default_context(cafile=authority)
        plain = socket.create_connection(("127.0.0.1", port), 5)
        with plain, context.wrap_socket(plain, server_hostname=domain) as secure:
            expires = ssl.cert_time_to_seconds(secure.getpeercert()["notAfter"])
            return check.certificate(domain, expires, time.time(), "")
    except (OSError, ValueError, LookupError) as error:
        return check.certificate(domain, None, time.time(), "port {0}: {1}".format(port, error))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "supervision": {"type": "str", "required": True, "choices": ["supervisord", "systemd"]},
            "instances": {"type": "list", "elements": "dict", "required": True},
            "metrics": {"type": "dict", "required": True},
            "version": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "model": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "default": []},
            "domain": {"type": "str"},
            "authority": {"type": "path"},
            "gateway_port": {"type": "int", "default": 443},
        },
        supports_check_mode=True,
    )
    findings = look(module.params)
    module.exit_json(
        changed=False,
        blockers=sum(item["severity"] == "blocker" for item in findings),
        summary=summary(findings),
        deploykit_result={"doctor": findings},
    )


if __name__ == "__main__":
    main()
