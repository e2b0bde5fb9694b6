"""`crqat-pipeline`: `kedro run` for an installed wheel, with `--conf-source` naming the configuration."""

from __future__ import annotations

import sys
from typing import Any

try:
    from kedro.framework.project import configure_project
except ModuleNotFoundError:
    sys.exit("Error: pipelines need Kedro, which is not installed: pip install 'crqat-pipeline[run]'.")

from crqat_pipeline.hooks.run_command import command

PACKAGE_NAME = "crqat_pipeline"


def main(*arguments: Any, **options: Any) -> Any:
    """Run pipelines; the arguments are those of `kedro run`."""
    configure_project(PACKAGE_NAME)
    options.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    options.setdefault("prog_name", "crqat-pipeline")
    return command(*arguments, **options)


if __name__ == "__main__":
    main()
