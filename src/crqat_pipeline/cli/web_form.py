"""The form `web` of `crqat export`: a folder with a page that detects in a browser."""

from __future__ import annotations

import click

from crqat_pipeline.cli.export_request import ExportRequest

WEB = "web"
THRESHOLD = 0.3
DECIDED = ("fixed_vocabulary", "static", "batch", "opset", "nms", "top", "no_embeddings", "unsigned_weights")
"""Options of the command about which this form leaves no choice."""


def write(request: ExportRequest) -> None:
    """Write the folder and say how to look at it. Raises ValueError for a wish that cannot be granted."""
    from crqat_pipeline.export.web.folder import check_place
    from crqat_pipeline.export.web.runtime_package import find_runtime
    from crqat_pipeline.export.web.text_encoder import check_pair
    from crqat_pipeline.recipes.page_encoder import page_encoder
    from crqat_pipeline.recipes.web_export import export_web

    request.refuse(DECIDED, "decides on its graph by itself")
    wishes = request.options
    check_place(request.out)  # before the model is made ready, which is work
    encoder = None if wishes["text_encoder"] is None else page_encoder(wishes["text_encoder"])
    if encoder is not None and request.opened.text_bank is not None:
        check_pair(encoder, request.opened.text_bank)
    find_runtime(wishes["runtime"])
    folder, parity, beside = export_web(
        request.ready(),
        request.out,
        request.proof_images(),
        request.image_size_px,
        runtime_folder=wishes["runtime"],
        has_webgpu=not wishes["no_webgpu"],
        score_threshold=THRESHOLD if wishes["threshold"] is None else wishes["threshold"],
        text_encoder=encoder,
    )
    megabytes = (folder.total_bytes / 2**20, folder.download_bytes / 2**20)
    click.echo(f"wrote {request.out}: {megabytes[0]:.1f} MB, of which a visitor on a CPU fetches {megabytes[1]:.1f} MB")
    if beside is not None:
        click.echo(
            f"text encoder {beside.facts['name']}: {beside.total_bytes / 2**20:.1f} MB, fetched with the first name "
            f"that the bank lacks; 8-bit weights, cosine with the float encoder at least {beside.least_likeness:.4f}"
        )
    click.echo(
        f"look at it: python -m http.server --directory {request.out} --bind 127.0.0.1 8000, then http://localhost:8000"
    )
    click.echo("put it on any static host with https; camera and threads need https or localhost")
    click.echo(str(parity))
