"""The `crqat` command: every file of the room that defines one is listed, and help does not wait for torch."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from crqat_pipeline.cli import COMMANDS, crqat
from crqat_pipeline.runtime.command_line import FiniteRange


def test_every_command_of_the_room_is_listed(project):
    room = (project / "src" / "crqat_pipeline" / "cli").glob("*.py")
    files = {path.stem for path in room if "@click.command" in path.read_text(encoding="utf-8")}
    assert {module.rsplit(".", 1)[1] for module, _ in COMMANDS.values()} == files - {"__init__"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name):
    command = crqat.get_command(click.Context(crqat), name)
    assert isinstance(command, click.Command)
    result = CliRunner().invoke(crqat, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: crqat {name}")
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []
    numbers = [one for one in options if isinstance(one.type, click.types.FloatParamType)]
    assert [one.name for one in numbers if not isinstance(one.type, FiniteRange)] == []  # others take NaN


def test_help_lists_the_commands_without_heavy_imports():
    code = (
        "import sys; from click.testing import CliRunner; from crqat_pipeline.cli import crqat;"
        "print(CliRunner().invoke(crqat, ['--help']).output);"
        "print(sorted({'torch', 'kedro', 'mlflow'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"
    assert all(f"\n  {name} " in output for name in COMMANDS)


def test_an_unknown_command_is_refused():
    result = CliRunner().invoke(crqat, ["detekt"])
    assert result.exit_code == 2
    assert "No such command 'detekt'. Did you mean 'detect'?" in result.output
