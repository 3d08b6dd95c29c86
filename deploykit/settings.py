"""The operator's environment: `DEPLOYKIT_*` variables, read by pydantic-settings."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from deploykit.catalog.catalog import nearest
from deploykit.errors import UsageError
from deploykit.setting_value import from_text

PREFIX = "DEPLOYKIT_"


class _Variables(EnvSettingsSource):
    """Reads `DEPLOYKIT_SETTINGS__KEY` and `DEPLOYKIT_COST__KEY` as `--set` reads its values, not always as text."""

    def explode_env_vars(self, field_name: str, field: FieldInfo, env_vars: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the nested variables of a field."""
        found = super().explode_env_vars(field_name, field, env_vars)
        if field_name not in {"settings", "cost"}:
            return found
        try:
            return {key: _typed(value) for key, value in found.items()}
        except ValueError as error:
            msg = f"in one of {PREFIX}{field_name.upper()}__*: {error}"
            raise ValueError(msg) from None


def _typed(value: Any) -> Any:  # noqa: ANN401 - what the variables hold, at any depth
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    return from_text(value) if isinstance(value, str) else value


class Environment(BaseSettings):
    """Every `DEPLOYKIT_*` variable. The first group overrides `deploykit.yaml`; the rest is about this machine."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="ignore", frozen=True
    )

    model: str | None = None
    node: str | None = None
    workload: str | None = None
    engine: str | None = None
    checkpoint: str | None = None
    port: int | None = Field(None, description="The first engine's port, on real nodes as in a rehearsal.")
    slo: dict[str, float] | None = Field(None, description="DEPLOYKIT_SLO__TTFT_S=2 and so on.")
    settings: dict[str, Any] | None = Field(None, description="JSON, or DEPLOYKIT_SETTINGS__MAX_NUM_SEQS=64.")
    cost: dict[str, Any] | None = Field(None, description="DEPLOYKIT_COST__USD_PER_NODE_HOUR=16 and so on.")

    config: Path | None = Field(None, description="The intent file, instead of ./deploykit.yaml.")
    profiles: Path | None = Field(None, description="A folder of your own profiles, laid over the shipped ones.")
    runs_dir: Path = Field(Path("runs"), description="Where run folders are made.")
    data_dir: Path | None = Field(None, description="What a rehearsal installs on this machine.")
    api_key: SecretStr | None = Field(None, description="The key callers of the served model must send.")
    api_key_file: Path | None = None
    api_key_command: SecretStr | None = Field(None, description="A command that prints it, run without a shell.")
    hf_token: SecretStr | None = Field(None, description="Token for the model hub; HF_TOKEN is read too.")
    hf_token_file: Path | None = None
    hf_token_command: SecretStr | None = None
    grafana_token: SecretStr | None = Field(None, description="Service account token of `monitoring.grafana_url`.")
    grafana_token_file: Path | None = None
    grafana_token_command: SecretStr | None = None
    mirror: str | None = Field(None, description="Where weights come from instead of the hub: a folder or an address.")
    engine_python: Path | None = Field(None, description="Tests only: Python of an installed engine.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes all four by name
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the process's environment, and nothing else."""
        return (_Variables(settings_cls),)


OVERRIDES = ("model", "node", "workload", "engine", "checkpoint", "port", "slo", "settings", "cost")
"""The variables that override keys of the intent."""


def read_environment() -> Environment:
    """Read the operator's environment; UsageError names a variable that does not exist or has a wrong value."""
    known = [PREFIX + name.upper() for name in Environment.model_fields]
    for name in os.environ:
        if name.startswith(PREFIX) and name.split("__")[0] not in known:
            close = nearest(name, known)
            raise UsageError(f"there is no variable `{name}`", hint=f"did you mean `{close[0]}`?" if close else None)
    try:
        return Environment()
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + "__".join(str(part).upper() for part in first["loc"])
        raise UsageError(
            f"`{variable}`: {first['msg']}", hint="unset it, or give it a value of the right kind"
        ) from None
    except (ValueError, RecursionError) as error:  # pydantic-settings reports JSON it cannot parse this way
        raise UsageError(f"a `{PREFIX}*` variable cannot be read: {error.__cause__ or error}") from None
