"""Help pages that read well on 80 columns, with options under the heading of their group."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from impasto.cli.examples import EXAMPLES

__all__ = ["GroupedHelp"]


class GroupedHelp(TyperCommand):
    """A command whose plain help page groups options by their ``rich_help_panel``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands after the command's name in its usage line."""
        return [*(_name(each) for each in self.params if _is_argument(each)), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then one section for each group in order of appearance."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        last: list[tuple[str, str]] = []
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if _is_argument(parameter):
                sections["Arguments"].append((_name(parameter), parameter.help))
            elif (record := parameter.get_help_record(ctx)) is not None:
                group = getattr(parameter, "rich_help_panel", None)
                (sections.setdefault(group, []) if group else last).append(record)
        for title, records in {**sections, "Other": last}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the command's examples, on lines of their own."""
        lines = EXAMPLES.get(_whole_name(ctx), ())
        if lines:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in lines))


def _whole_name(ctx: Any) -> str:
    """Return a command's name after those of its groups, without the program's."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.info_name)
        ctx = ctx.parent
    return " ".join(names)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _name(argument: Any) -> str:
    return f"{argument.metavar}{'...' if argument.nargs == -1 else ''}"
