"""A group of commands, one of which is meant where none is named: `deploykit report latest` beside `report verify`."""

from typing import Any

from typer.core import TyperGroup

DEFAULT = "(default)"


class WithDefault(TyperGroup):
    """Takes what begins with no command's name as the arguments of the command that is named `(default)`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - its type is private to typer
        """Put the default's name before arguments that begin with none."""
        if not args or args[0] not in self.commands:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:  # noqa: ANN401
        """Name the default by the group's name alone, as its usage line shows it."""
        name, command, rest = super().resolve_command(ctx, args)
        return (None if name == DEFAULT else name), command, rest
