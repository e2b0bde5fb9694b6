"""`crqat-pipeline`: `kedro run` for an installed wheel, with `--conf-source` naming the configuration."""

from __future__ import annotations

import sys
from typing import Any

from kedro.framework.cli.project import run
from kedro.framework.project import configure_project

PACKAGE_NAME = "crqat_pipeline"


def main(*arguments: Any, **options: Any) -> Any:
    """Run pipelines; the arguments are those of `kedro run`."""
    configure_project(PACKAGE_NAME)
    options.setdefault("standalone_mode", not hasattr(sys, "ps1"))
    options.setdefault("prog_name", "crqat-pipeline")
    return run(*arguments, **options)


if __name__ == "__main__":
    main()
