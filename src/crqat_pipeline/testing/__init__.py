"""What the author of a detector family runs in the tests of an own package: `check_family(FAMILY)`."""

from crqat_pipeline.testing.family import FAMILY_CHECKS, FILE_CHECKS, META_CHECKS, check_family
from crqat_pipeline.testing.sample import lively

__all__ = ["FAMILY_CHECKS", "FILE_CHECKS", "META_CHECKS", "check_family", "lively"]
