"""How an environment of conf/ changes the parameters of conf/base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.config import OmegaConfigLoader

ROW_KEY = "name"
"""The key that names a row of a table (a detector, a text encoder); the other keys beside it are that row's options."""


def merged(base: Any, override: Any) -> Any:
    """`override` over `base`: mappings key by key, everything else replaced.

    A mapping that names another row than base's replaces it whole: the old row's options mean nothing to the new one.
    """
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return override
    if ROW_KEY in base and ROW_KEY in override and base[ROW_KEY] != override[ROW_KEY]:
        return dict(override)
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in override.items()}}


class EnvironmentConfigLoader(OmegaConfigLoader):
    """Kedro's loader with `merged` for parameters; other files follow `merge_strategy`.

    One loader per session: each binds `${globals:}` for the whole process.
    """

    def _merge_configs(self, config: dict[str, Any], env_config: dict[str, Any], key: str, env_path: str) -> Any:
        if key == "parameters":
            return merged(config, env_config)
        return super()._merge_configs(config, env_config, key, env_path)

    def base_parameter_keys(self) -> set[str]:
        """Top-level keys of conf/base's parameters, whatever the environment and the command line add."""
        folder, patterns = self._get_conf_env_path(self.base_env), self.config_patterns["parameters"]
        files = self._read_dir_configs(folder, patterns, "parameters", set())
        return {str(key) for content in files.values() for key in content}
