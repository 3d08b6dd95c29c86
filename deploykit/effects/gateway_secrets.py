"""The intent's callers and certificate in, what the gateway is given of them out: hashes of keys, never the keys."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploykit.errors import UsageError
from deploykit.intent import CallerIntent, CertificateIntent, GatewayIntent

ENGINE_KEY = "VLLM_API_KEY"
"""What the engines ask for, and the load test sends."""

HASHES = "GATEWAY_KEYS"
"""Lines of a key's SHA-256 and its caller's name."""

CERTIFICATE = "GATEWAY_CERTIFICATE"
"""The operator's certificate, chain and private key, PEM."""


def with_gateway(secrets: Mapping[str, str], gateway: GatewayIntent, *, base: Path) -> dict[str, str]:
    """Return the secrets of a deployment with a gateway.

    Without DEPLOYKIT_API_KEY the engines' key is the first caller's first key.

    Args:
        secrets: those of `settings.secrets`.
        gateway: callers and certificate.
        base: the folder that relative names of files start from.

    Raises:
        UsageError: a variable or file that is not there or holds no key, or one key of two callers.

    """
    found = dict(secrets)
    owners: dict[str, str] = {}
    if ENGINE_KEY in found:
        owners[found[ENGINE_KEY]] = "default"
    elif any(caller.name == "default" for caller in gateway.keys):
        raise UsageError(
            "`gateway.keys` has limits for `default`, but no DEPLOYKIT_API_KEY is set",
            hint="set DEPLOYKIT_API_KEY or DEPLOYKIT_API_KEY_FILE, or take `default` out",
        )
    for caller in gateway.keys:
        for key in _keys(caller, base):
            if owners.setdefault(key, caller.name) != caller.name:
                raise UsageError(
                    f"`{owners[key]}` and `{caller.name}` have the same key", hint="give each caller a key of its own"
                )
            found.setdefault(ENGINE_KEY, key)
    if owners:
        found[HASHES] = "".join(f"{hashed(key)} {name}\n" for key, name in owners.items())
    if isinstance(gateway.tls, CertificateIntent):
        found[CERTIFICATE] = _certificate(gateway.tls, base)
    return found


def hashed(key: str) -> str:
    """Return a key as the gateway knows it: SHA-256, lower-case hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def _keys(caller: CallerIntent, base: Path) -> Iterator[str]:
    if caller.name == "default":
        return
    if caller.env is not None:
        where, text = f"the variable {caller.env}", os.environ.get(caller.env, "")
    else:
        where = f"the file {base / str(caller.file)}"
        text = _read(base / Path(str(caller.file)).expanduser(), f"the keys of `{caller.name}`")
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise UsageError(f"{where} holds no key of `{caller.name}`", hint="one key a line; each is good")
    for number, key in enumerate(keys, start=1):  # the message must not hold the key
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UsageError(
                f"key {number} of `{caller.name}` in {where} cannot be a bearer key",
                hint="printable ASCII without spaces, such as from `openssl rand -base64 32`",
            )
        yield key


def _certificate(files: CertificateIntent, base: Path) -> str:
    chain = _read(base / Path(files.certificate_file).expanduser(), "the gateway's certificate")
    key = _read(base / Path(files.key_file).expanduser(), "the gateway's private key")
    for text, begins, what in ((chain, "CERTIFICATE", files.certificate_file), (key, "PRIVATE KEY", files.key_file)):
        if "-----BEGIN " not in text or f"{begins}-----" not in text:
            raise UsageError(
                f"{what} holds no PEM `{begins}`", hint="certificate and chain in one file, the key in another"
            )
    if "ENCRYPTED" in key:
        raise UsageError(f"{files.key_file} is a private key with a password", hint="nobody is there to type it in")
    return f"{chain.strip()}\n{key.strip()}\n"


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{what} cannot be read from {file}: {error}", hint="see `gateway` in deploykit.yaml"
        ) from None
