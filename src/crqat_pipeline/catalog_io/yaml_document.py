"""Parameters that a run wrote for another one: YAML."""

from __future__ import annotations

from typing import Any

import yaml

from crqat_pipeline.catalog_io.local_file import LocalFile
from crqat_pipeline.runtime.bounded_yaml import read_yaml


class YamlDocument(LocalFile[Any, Any]):
    """A YAML value, keys in the order in which they were given."""

    def save(self, data: Any) -> None:
        with self.replacing() as temporary:
            temporary.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def load(self) -> Any:
        return read_yaml(self.existing_path())
