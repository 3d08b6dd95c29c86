"""A group of commands, one of which is meant where none is named: `deploykit report latest` beside `report verify`."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

DEFAULT = "(default)"


class Default(TyperCommand):
    """The command that is meant, whose name nobody writes."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - its types are private to typer
        """Write the usage without the space before a name that is not there."""
        formatter.write_usage(ctx.command_path.rstrip(), " ".join(self.collect_usage_pieces(ctx)))


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
