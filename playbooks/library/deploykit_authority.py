#!/usr/bin/python
"""An authority of the deployment's own, and a certificate by it for the gateway; both stay until they have to change."""

DOCUMENTATION = r"""
module: deploykit_authority
short_description: Make the gateway's certificate
options:
  folder: {type: path, required: true}
  name: {type: str, required: true}
"""

import ipaddress
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
RENEW_S = 60 * 24 * 3600
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def subject_alternative(name):
    """Return a name as a certificate has it: an address or a name of the DNS."""
    try:
        return "IP:{0}".format(ipaddress.ip_address(name))
    except ValueError:
        return "DNS:{0}".format(name)


def good(run, folder, name):
    """Return whether the certificate is for this name, by this authority, and lasts."""
    leaf, ca = (os.path.join(folder, file) for file in ("gateway.pem", "ca.pem"))
    if not (os.path.exists(leaf) and os.path.exists(ca)):
        return False
    option = "-checkip" if subject_alternative(name).startswith("IP:") else "-checkhost"
    _code, said, _ = run(["openssl", "x509", "-in", leaf, "-noout", option, name])
    lasts = run(["openssl", "x509", "-in", leaf, "-noout", "-checkend", str(RENEW_S)])[0] == 0
    return "does match" in said and lasts and run(["openssl", "verify", "-CAfile", ca, leaf])[0] == 0


def make_authority(run, folder):
    """Make the authority: its key never leaves the folder."""
    run(
        ["openssl", "req", "-x509", *_KEY, "-days", str(AUTHORITY_DAYS), "-subj", "/CN=deploykit internal authority",
         "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
         "-keyout", os.path.join(folder, "ca.key"), "-out", os.path.join(folder, "ca.pem")],
        check_rc=True,
    )  # fmt: skip


def make_certificate(run, folder, name):
    """Make the gateway's certificate with its key in one file."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        key, request, leaf, extensions = (os.path.join(work, file) for file in ("key", "csr", "pem", "ext"))
        with open(extensions, "w", encoding="utf-8") as file:
            file.write(
                "subjectAltName={0}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                "extendedKeyUsage=serverAuth\n".format(subject_alternative(name))
            )
        run(["openssl", "req", *_KEY, "-subj", "/CN=deploykit gateway", "-keyout", key, "-out", request], check_rc=True)
        run(
            ["openssl", "x509", "-req", "-in", request, "-CA", os.path.join(folder, "ca.pem"),
             "-CAkey", os.path.join(folder, "ca.key"), "-CAcreateserial", "-days", str(CERTIFICATE_DAYS),
             "-extfile", extensions, "-out", leaf],
            check_rc=True,
        )  # fmt: skip
        whole = os.path.join(work, "whole")
        with open(whole, "w", encoding="utf-8") as file:
            for part in (leaf, key):
                with open(part, encoding="utf-8") as source:
                    file.write(source.read())
        os.replace(whole, os.path.join(folder, "gateway.pem"))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"folder": {"type": "path", "required": True}, "name": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    folder, name = module.params["folder"], module.params["name"]
    os.umask(0o077)
    changed = not good(module.run_command, folder, name)
    if changed and not module.check_mode:
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, "ca.pem")):
            make_authority(module.run_command, folder)
        make_certificate(module.run_command, folder, name)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
