"""What a run would read, take and need, found out without training or writing (floor 5)."""

from crqat_pipeline.dry_run.examine import examine
from crqat_pipeline.dry_run.findings import DryRunReport
from crqat_pipeline.dry_run.subject import DryRunSubject, InputEntry

__all__ = ["DryRunReport", "DryRunSubject", "InputEntry", "examine"]
