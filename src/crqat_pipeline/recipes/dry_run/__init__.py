"""What a run would read, take and need, found out without training or writing."""

from crqat_pipeline.recipes.dry_run.examine import examine
from crqat_pipeline.recipes.dry_run.report import DryRunReport
from crqat_pipeline.recipes.dry_run.subject import DryRunSubject, InputEntry

__all__ = ["DryRunReport", "DryRunSubject", "InputEntry", "examine"]
