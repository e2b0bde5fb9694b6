"""A folder with a detector that runs in a browser: model, prompts, page and runtime, as static files."""

from crqat_pipeline.export.web.folder import WebFolder, write_web_folder
from crqat_pipeline.export.web.runtime_package import find_runtime

__all__ = ["WebFolder", "find_runtime", "write_web_folder"]
