"""The image folders of several sources behind one: the first part of a name is the source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crqat_pipeline.detection_data.image_folder import ImageFileError, ImageFolder


class SourceFolders(ImageFolder):
    """`objects365/patch0/a.jpg` is `patch0/a.jpg` of the folder named objects365."""

    def __init__(self, folders: Mapping[str, str | Path]) -> None:
        """Raises ValueError without a folder."""
        if not folders:
            raise ValueError("Image sources need at least one folder; got none. Name a folder per source.")
        super().__init__(os.path.commonpath([Path(folder).absolute() for folder in folders.values()]))
        self.folders = {name: ImageFolder(folder) for name, folder in folders.items()}

    def __repr__(self) -> str:
        return f"SourceFolders({', '.join(f'{name}={folder.root}' for name, folder in self.folders.items())})"

    def path(self, file_name: str) -> Path:
        folder, rest = self._split(file_name)
        return folder.path(rest)

    def locate(self, file_name: str) -> Path:
        folder, rest = self._split(file_name)
        return folder.locate(rest)

    def _split(self, file_name: str) -> tuple[ImageFolder, str]:
        source, _, rest = file_name.partition("/")
        if source not in self.folders:
            raise ImageFileError(
                f"Image name {file_name!r} must begin with its source, one of {', '.join(self.folders)}. Name the same "
                "sources for images and annotations."
            )
        return self.folders[source], rest
