"""The operator's secrets and the gateway's callers in; what hosts are given, and what a caller sends, out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deploykit.effects.gateway_secrets import ENGINE_KEY, first_key, with_gateway
from deploykit.effects.operator_secrets import API_KEY, HF_TOKEN, OperatorSecrets
from deploykit.intent import CallerIntent, GatewayIntent


@dataclass(frozen=True)
class DeploymentSecrets:
    """The secrets of one deployment, and who must not see them."""

    playbooks: Mapping[str, str] = field(repr=False, default_factory=dict)
    """What hosts are given, by the names that roles know."""

    caller_key: str | None = field(repr=False, default=None)
    """What a caller sends; None where nobody asks for a key, or nobody calls."""

    withheld: frozenset[str] = frozenset()
    """Variables with callers' keys, which no program that is started inherits."""


def deployment_secrets(
    operator: OperatorSecrets, intent: GatewayIntent, *, gateway: bool, weights: bool, at_home: bool = False
) -> DeploymentSecrets:
    """Return the secrets of an `up`; UsageError for a source that gives none.

    Args:
        operator: the operator's own.
        intent: the gateway's callers and certificate, `anchored`.
        gateway: whether one stands before the engines. Then hosts get hashes of callers' keys, and no key.
        weights: whether weights are fetched from the hub, for which its token is needed.
        at_home: whether it is a rehearsal on this machine, where DEPLOYKIT_API_KEY is the only caller's.

    """
    names = {ENGINE_KEY: API_KEY} | ({"HF_TOKEN": HF_TOKEN} if weights else {})
    read = {name: operator.read(source) for name, source in names.items()}
    secrets = {name: value for name, value in read.items() if value}
    found = secrets if at_home else with_gateway(secrets, intent, operator.commands)
    key = found.pop(ENGINE_KEY, None) if gateway else found.get(ENGINE_KEY)
    return DeploymentSecrets(playbooks=found, caller_key=key, withheld=_variables(intent.keys))


def caller_secrets(
    operator: OperatorSecrets, callers: Collection[CallerIntent], *, at_home: bool = False
) -> DeploymentSecrets:
    """Return the key that a load test of a running deployment sends: DEPLOYKIT_API_KEY, else the first caller's."""
    key = operator.read(API_KEY) or (None if at_home else first_key(callers, operator.commands))
    return DeploymentSecrets(caller_key=key, withheld=_variables(callers))


def no_secrets(callers: Collection[CallerIntent]) -> DeploymentSecrets:
    """Return what a look at a running deployment needs: nothing, for the engines' key lies on their hosts."""
    return DeploymentSecrets(withheld=_variables(callers))


def _variables(callers: Collection[CallerIntent]) -> frozenset[str]:
    return frozenset(caller.env for caller in callers if caller.env)
