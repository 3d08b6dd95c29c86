"""The intent's callers and certificate in, what the gateway is given of them out: hashes of keys, never the keys."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from deploykit.effects.files import reason
from deploykit.effects.secret_command import SecretCommands, program_of
from deploykit.errors import UsageError
from deploykit.intent import CallerIntent, CertificateIntent, GatewayIntent

ENGINE_KEY = "VLLM_API_KEY"
"""What an engine without a gateway asks for, and the load test sends."""

HASHES = "GATEWAY_KEYS"
"""Lines of a key's SHA-256 and its caller's name."""

CERTIFICATE = "GATEWAY_CERTIFICATE"
"""The operator's certificate, chain and private key, PEM."""


def anchored(gateway: GatewayIntent, base: Path) -> GatewayIntent:
    """Return the gateway's intent with whole paths of its files; relative ones start from `base`."""
    keys = tuple(
        caller.model_copy(update={"file": whole(caller.file, base)} if caller.file else {}) for caller in gateway.keys
    )
    tls = gateway.tls
    if isinstance(tls, CertificateIntent):
        certificate, key = whole(tls.certificate_file, base), whole(tls.key_file, base)
        tls = CertificateIntent(certificate_file=certificate, key_file=key)
    return gateway.model_copy(update={"keys": keys, "tls": tls})


def whole(file: str, base: Path) -> str:
    """Return a file's whole path; a relative one starts from `base`, `~` is the operator's home."""
    return str((base / Path(file).expanduser()).absolute())


def with_gateway(secrets: Mapping[str, str], gateway: GatewayIntent, commands: SecretCommands) -> dict[str, str]:
    """Return the secrets of a deployment with a gateway.

    Without DEPLOYKIT_API_KEY the load test sends the first caller's first key.

    Args:
        secrets: the operator's.
        gateway: callers and certificate, `anchored`.
        commands: runs those that print keys.

    Raises:
        UsageError: a variable, file or command that is not there or gives no key, or one key of two callers.

    """
    found = dict(secrets)
    owners: dict[str, str] = {}
    if ENGINE_KEY in found:
        owners[found[ENGINE_KEY]] = "default"
    elif any(caller.name == "default" for caller in gateway.keys):
        raise UsageError(
            "`gateway.keys` has limits for `default`, but no DEPLOYKIT_API_KEY is set",
            hint="set DEPLOYKIT_API_KEY, DEPLOYKIT_API_KEY_FILE or DEPLOYKIT_API_KEY_COMMAND, or take `default` out",
        )
    for caller in gateway.keys:
        for key in _keys(caller, commands):
            if owners.setdefault(key, caller.name) != caller.name:
                raise UsageError(
                    f"`{owners[key]}` and `{caller.name}` have the same key", hint="give each caller a key of its own"
                )
            found.setdefault(ENGINE_KEY, key)
    if owners:
        found[HASHES] = "".join(f"{hashed(key)} {name}\n" for key, name in owners.items())
    if isinstance(gateway.tls, CertificateIntent):
        found[CERTIFICATE] = _certificate(gateway.tls)
    return found


def hashed(key: str) -> str:
    """Return a key as the gateway knows it: SHA-256, lower-case hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def first_key(callers: Iterable[CallerIntent], commands: SecretCommands) -> str | None:
    """Return the first key of the first caller that has a source of its own, None without one; UsageError as above."""
    return next((key for caller in callers for key in _keys(caller, commands)), None)


def where(caller: CallerIntent) -> str:
    """Return in words where a caller's keys come from, and never the words of a command."""
    if caller.env is not None:  # what no variable is called may be the key itself
        return f"the variable {caller.env}" if caller.env in os.environ else "a variable that is not set (`env`)"
    if caller.command is not None:
        return f"the command `{program_of(caller.command)}`"
    return f"the file {caller.file}"


def _keys(caller: CallerIntent, commands: SecretCommands) -> Iterator[str]:
    if caller.name == "default":
        return
    place = where(caller)
    if caller.env is not None:
        text = os.environ.get(caller.env, "")
    elif caller.command is not None:
        text = commands.read(caller.command, f"`command` of the caller `{caller.name}`")
    else:
        text = _read(Path(str(caller.file)), f"the keys of `{caller.name}`")
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise UsageError(f"{place} holds no key of `{caller.name}`", hint="one key a line; each is good")
    for number, key in enumerate(keys, start=1):  # the message must not hold the key
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UsageError(
                f"key {number} of `{caller.name}` in {place} cannot be a bearer key",
                hint="printable ASCII without spaces, such as from `openssl rand -base64 32`",
            )
        yield key


def _certificate(files: CertificateIntent) -> str:
    chain = _read(Path(files.certificate_file), "the gateway's certificate")
    key = _read(Path(files.key_file), "the gateway's private key")
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
            f"{what} cannot be read from {file}: {reason(error)}", hint="see `gateway` in deploykit.yaml"
        ) from None
