"""How an environment of conf/ changes the parameters of conf/base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf

from crqat_pipeline.hooks.interpolation_check import check_interpolations
from crqat_pipeline.hooks.widths import spell_out_bits
from crqat_pipeline.runtime.bounded_yaml import read_yaml

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


def forget_other_rows(older: DictConfig, newer: Mapping[Any, Any]) -> None:
    """Drop from `older` the options of rows that `newer` replaces by other ones, in place.

    For files that Kedro joins before `merged` sees them: those of a parent environment, and values of --params.
    """
    for key, value in newer.items():
        if key not in older or OmegaConf.is_interpolation(older, key) or not isinstance(older[key], DictConfig):
            continue
        if not isinstance(value, Mapping | DictConfig):
            continue
        row, told = older[key], _as_written(value).get(ROW_KEY)
        if ROW_KEY in row and told is not None and _as_written(row)[ROW_KEY] != told:
            for option in [name for name in row if name != ROW_KEY]:
                del row[option]
        else:
            forget_other_rows(row, value)


def _as_written(section: Mapping[Any, Any] | DictConfig) -> dict[Any, Any]:
    """Without resolving: a parent's `${globals:size}` is another name than the one that a child writes in its place."""
    written: Any = OmegaConf.to_container(section, resolve=False) if isinstance(section, DictConfig) else section
    return dict(written)


PARENT_KEY = "extends"
"""In globals.yml of an environment: the folder of conf/ that it starts from, itself on top of conf/base."""


class EnvironmentConfigLoader(OmegaConfigLoader):
    """Kedro's loader with `merged` for parameters and `extends` for environments that share most of their files.

    Other files follow `merge_strategy`. One loader per session: each binds `${globals:}` for the whole process.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._written: dict[str, dict[str, Any]] = {}  # kind of file -> path -> content, ${...} as text
        super().__init__(*arguments, **options)

    def _read_raw_config(self, key: str) -> Any:
        """Files of base, files of the environment with those of its parent before them, and where they lie."""
        base, env, base_path, env_path, seen = super()._read_raw_config(key)
        parent = self._parent(env_path) if env_path != base_path else None
        inherited = self._read_dir_configs(parent, self.config_patterns[key], key, seen) if parent else {}
        if key == "parameters":
            for config in (*base.values(), *inherited.values(), *env.values(), self.runtime_params):
                spell_out_bits(config)
            for older in inherited.values():
                for newer in env.values():
                    forget_other_rows(older, newer)
            for older in (*base.values(), *inherited.values(), *env.values()):
                forget_other_rows(older, self.runtime_params or {})
        return base, {**inherited, **env}, base_path, env_path, seen

    def _read_dir_configs(
        self, conf_path: str, patterns: Iterable[str], key: str, processed_files: set[Any], *more: Any, **named: Any
    ) -> Any:
        """Files of local folders are looked at first, with all that was read before them."""
        folder, written = Path(conf_path), self._written.setdefault(key, {})
        for path in {path for pattern in patterns if folder.is_dir() for path in folder.glob(pattern)}:
            if path.suffix in (".yml", ".yaml", ".json") and path.is_file():
                written[str(path)] = read_yaml(path)
        parameters = {"--params": self.runtime_params or {}}
        check_interpolations(
            written | (parameters if key == "parameters" else {}),
            {"globals": self._written.get("globals", {}), "runtime_params": parameters},
        )
        return super()._read_dir_configs(conf_path, patterns, key, processed_files, *more, **named)

    def _parent(self, env_path: str) -> str | None:
        """Folder of the environment that this one extends. Raises MissingConfigException when there is none such."""
        own = self._read_dir_configs(env_path, self.config_patterns["globals"], "globals", set())
        names = [str(content[PARENT_KEY]) for content in own.values() if PARENT_KEY in content]
        if not names:
            return None
        parent = self._get_conf_env_path(names[0])
        grandparents = self._read_dir_configs(parent, self.config_patterns["globals"], "globals", set())
        if any(PARENT_KEY in content for content in grandparents.values()):
            raise MissingConfigException(f"{env_path} extends {names[0]}, which must not extend another one in turn.")
        return parent

    def _merge_configs(self, config: dict[str, Any], env_config: dict[str, Any], key: str, env_path: str) -> Any:
        if key == "parameters":  # names with _ are building blocks of the file, as in the catalog
            return merged(config, {name: value for name, value in env_config.items() if not name.startswith("_")})
        return super()._merge_configs(config, env_config, key, env_path)

    def base_parameter_keys(self) -> set[str]:
        """Top-level keys of conf/base's parameters, whatever the environment and the command line add."""
        folder, patterns = self._get_conf_env_path(self.base_env), self.config_patterns["parameters"]
        files = self._read_dir_configs(folder, patterns, "parameters", set())
        return {str(key) for content in files.values() for key in content}
