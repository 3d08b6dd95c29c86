"""A plan and the names of formats in, their files out."""

from enum import StrEnum
from typing import assert_never

from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.profile import Profile
from deploykit.errors import PlanningError, UsageError
from deploykit.planning.plan import Plan
from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats.compose import compose_files
from deploykit.rendering.formats.kubernetes import kubernetes_files
from deploykit.rendering.formats.launch import EVERYWHERE, FormatOptions, deployed
from deploykit.rendering.formats.quadlet import quadlet_files
from deploykit.rendering.formats.shell import shell_files
from deploykit.rendering.renderer import header_of


class Format(StrEnum):
    """What a plan can be rendered as, beside the bundle for Ansible."""

    SHELL = "shell"
    COMPOSE = "compose"
    QUADLET = "quadlet"
    KUBERNETES = "kubernetes"


def format_files(
    plan: Plan,
    wanted: Format,
    *,
    profile: Profile,
    engine: EngineRelease,
    flags: FlagTable,
    hosts: tuple[str, ...],
    options: FormatOptions,
) -> tuple[BundleFile, ...]:
    """Return a plan's files in one format, in a folder of the format's name. Same input, same bytes.

    Args:
        plan: what to serve and how.
        wanted: the format.
        profile: what is really served: in a rehearsal the stand-in.
        engine: the release the plan names.
        flags: that release's flag table.
        hosts: addresses in the order of the nodes; empty where none are known.
        options: what the format needs beside the plan.

    Raises:
        UnsupportedSettingError: a setting that the release does not have, or not with that value.
        PlanningError: hosts that do not fit the plan.
        UsageError: a rehearsal in a container, an unknown image, or weights that the format cannot mount.

    """
    if plan.stand_in is not None and wanted is not Format.SHELL:
        raise UsageError(
            f"a rehearsal cannot be rendered as `{wanted}`: its stand-in is made and served on this machine",
            hint="name a real machine with --node, or use --format shell",
        )
    in_pods = wanted is Format.KUBERNETES
    found = deployed(
        plan,
        engine=engine,
        flags=flags,
        # Pods have addresses and interfaces of their own.
        hosts=() if in_pods else hosts,
        options=options.model_copy(update={"interface": None}) if in_pods else options,
        header=header_of(plan),
        listen=EVERYWHERE if in_pods else None,
    )
    match wanted:
        case Format.SHELL:
            return shell_files(found, _recipe(plan, profile))
        case Format.COMPOSE:
            return compose_files(found)
        case Format.QUADLET:
            return quadlet_files(found)
        case Format.KUBERNETES:
            return kubernetes_files(found)
        case _:
            assert_never(wanted)


def _recipe(plan: Plan, profile: Profile) -> str | None:
    if plan.stand_in is None:
        return None
    if profile.stand_in is None:
        raise PlanningError(
            f"the plan serves the stand-in `{plan.stand_in}`, but `{profile.name}` has no recipe for one"
        )
    return profile.stand_in.as_json()
