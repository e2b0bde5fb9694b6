"""What a run would fetch before anything else. Nothing is asked of a server."""

from __future__ import annotations

from crqat_pipeline.detection_data.published import missing_in, read_file_list
from crqat_pipeline.dry_run.findings import DryRunReport, count
from crqat_pipeline.dry_run.subject import DryRunSubject

MB = 2.0**20


def look_at_downloads(subject: DryRunSubject, report: DryRunReport) -> None:
    """Published files that are not there yet, by origin and licence."""
    spec = subject.fetch_data.published if subject.fetch_data is not None else None
    if spec is None or not spec.is_fetched:
        return
    try:
        missing = missing_in(read_file_list(spec.files), spec.folder)
    except ValueError as error:
        report.missing.append(f"fetch_data.published: {error}")
        return
    if not missing:
        return
    rows = []
    for origin in dict.fromkeys(origin for origin, _ in missing.files):
        sizes = [file.num_bytes for one, file in missing.files if one is origin]
        rows.append((origin.what, count(len(sizes)), f"{sum(sizes) / MB:,.1f}", origin.licence, origin.base))
    report.add("To be fetched", ("what", "files", "MB", "licence", "from"), rows)
    report.missing.append(
        f"{len(missing.files)} published files ({missing.num_bytes / MB:,.0f} MB) are not in {spec.folder} yet. A run "
        "fetches them first, as `kedro run --pipelines=fetch_data` with this environment does alone; look again then"
    )
