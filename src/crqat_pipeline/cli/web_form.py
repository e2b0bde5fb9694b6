"""The form `web` of `crqat export`: a folder with a page that detects in a browser."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import ExportRequest

WEB = "web"
THRESHOLD = 0.3
DECIDED = ("fixed_vocabulary", "static", "batch", "opset", "nms", "top", "no_embeddings")
"""Options of the command about which this form leaves no choice."""


def write(request: ExportRequest) -> None:
    """Write the folder and say how to look at it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.export.web.folder import check_place
    from crqat_pipeline.export.web.runtime_package import find_runtime
    from crqat_pipeline.recipes.web_export import export_web

    request.refuse(DECIDED, "decides on its graph by itself")
    wishes = request.options
    check_place(request.out)  # before the model is made ready, which is work
    find_runtime(wishes["runtime"])
    folder, parity = export_web(
        request.ready(),
        request.out,
        request.proof_images(),
        request.image_size_px,
        runtime_folder=wishes["runtime"],
        has_webgpu=not wishes["no_webgpu"],
        score_threshold=THRESHOLD if wishes["threshold"] is None else wishes["threshold"],
    )
    megabytes = (folder.total_bytes / 2**20, folder.download_bytes / 2**20)
    click.echo(f"wrote {request.out}: {megabytes[0]:.1f} MB, of which a visitor on a CPU fetches {megabytes[1]:.1f} MB")
    click.echo(
        f"look at it: python -m http.server --directory {request.out} --bind 127.0.0.1 8000, then http://localhost:8000"
    )
    click.echo("put it on any static host with https; camera and threads need https or localhost")
    click.echo(str(parity))
