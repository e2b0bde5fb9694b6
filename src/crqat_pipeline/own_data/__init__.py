"""From a folder of photographs to an environment of conf/ that runs: looked at, split, described, written."""

from crqat_pipeline.own_data.make import NewEnvironment, make_environment
from crqat_pipeline.own_data.request import OwnDataRequest

__all__ = ["NewEnvironment", "OwnDataRequest", "make_environment"]
