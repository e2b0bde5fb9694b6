"""The command line of `kedro run`: what its options are given is looked at before Kedro reads it.

What cannot be read is told in the same panel as every other refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from crqat_pipeline.hooks.user_errors import panel
from crqat_pipeline.runtime.bounded_yaml import MAX_DEPTH, parse_yaml, read_yaml


class RunCommand(click.Command):
    """A command line that cannot be read is told in the same panel, with exit code 2."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _usage_in_a_panel():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_in_a_panel():
            return super().invoke(ctx)


@contextmanager
def _usage_in_a_panel() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        ctx: click.Context | None = getattr(error, "ctx", None)
        click.echo(panel(error), err=True)
        click.echo(f"All options: {'' if ctx is None else f'{ctx.command_path} '}--help.", err=True)
        raise click.exceptions.Exit(error.exit_code) from error


def looked_at(option: click.Parameter) -> click.Parameter:
    """An option of Kedro's, behind a look at what it is given; the others as they are."""
    if option.name not in LOOKS:
        return option
    copied, read, look = copy(option), option.callback, LOOKS[option.name]
    assert read is not None

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            look(ctx, value)
        except (ValueError, OSError) as error:
            raise click.BadParameter(str(error), ctx, param) from error
        return read(ctx, param, value)

    copied.callback = callback
    return copied


def _look_at_values(ctx: click.Context, value: Any) -> None:
    """Of --params: each value is YAML, each key a dotted path."""
    for item in value.split(",") if isinstance(value, str) else ():
        key, _, text = item.partition("=")
        if key.count(".") + key.count("[") > MAX_DEPTH:
            raise ValueError(f"Keys have at most {MAX_DEPTH} levels; got {key[:60]}….")
        parse_yaml(text, f"The value of {key.strip()[:60]}")


def _look_at_file(ctx: click.Context, value: Any) -> None:
    """Of --config: YAML with the options of this command."""
    if not value:
        return
    content = read_yaml(Path(value))
    if not isinstance(content, Mapping) or not isinstance(content.get(ctx.info_name), Mapping):
        raise ValueError(
            f"A file of options has them below {ctx.info_name!r}, such as `{ctx.info_name}: {{env: smoke}}`; {value} "
            "does not."
        )


LOOKS: Mapping[str, Callable[[click.Context, Any], None]] = MappingProxyType(
    {"params": _look_at_values, "config": _look_at_file}
)
