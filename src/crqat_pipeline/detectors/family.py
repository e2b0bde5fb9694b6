"""What the table of detector families holds of each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from crqat_pipeline.detectors.protocol import OpenVocabularyDetector

Builder = Callable[..., OpenVocabularyDetector]

PARTS = ("backbone", "neck", "head")
"""Of a family that does not say otherwise."""


class ForeignWeights(Protocol):
    """A weight file understood: printable, under this project's own keys.

    detector_name and detector_options: what builds the detector that `tensors` fit. source: name of the file.
    prompts: of the file, if it has any; text_embeddings_KD: their embeddings, if it has these too. text_encoder: the
    text encoder that the detector was trained with (a row of `data_prep.text_encoders`), where that is known.
    """

    @property
    def detector_name(self) -> str: ...
    @property
    def detector_options(self) -> Mapping[str, Any]: ...
    @property
    def source(self) -> str: ...
    @property
    def tensors(self) -> Mapping[str, Tensor]: ...
    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def text_embeddings_KD(self) -> Tensor | None: ...  # noqa: N802 - shape letters
    @property
    def text_encoder(self) -> Mapping[str, Any] | None: ...


WeightReader = Callable[[str | Path], ForeignWeights]


@dataclass(frozen=True)
class DetectorFamily:
    """One row of FAMILIES. What differs between families and is not said by the detector's class stands here.

    name: of the family. detectors: name of each detector (parameters, files, command line) -> its builder, which takes
    the row's options as keywords and raises ValueError for one that does not fit; a heavy library is imported inside.
    parts: of its detectors, in the order in which the curriculum quantizes them.
    tested: (detector name, options) that the contract test runs for real: small ones.
    meta_tested: further ones that run on the meta device only. read_weights: `crqat weights`; raises WeightsRefused for
    a file that is not the family's. extra: of pyproject.toml, if the family needs one. modules: what the family needs
    beside this project's own requirements, by the name of its import. install: how these come here, in words, where
    there is no extra. embedding_option: the option that sets the width of the embeddings of an untrained detector,
    None where it is fixed. package: the distribution that brings the row, for families outside this package; set when
    the row is found.
    """

    name: str
    detectors: Mapping[str, Builder]
    tested: tuple[tuple[str, Mapping[str, Any]], ...]
    parts: tuple[str, ...] = PARTS
    meta_tested: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    read_weights: WeightReader | None = None
    extra: str | None = None
    modules: tuple[str, ...] = ()
    install: str | None = None
    embedding_option: str | None = None
    package: str | None = None

    @property
    def missing_modules(self) -> tuple[str, ...]:
        """Those of `modules` that are not installed here."""
        return tuple(name for name in self.modules if find_spec(name) is None)

    def check_installed(self) -> None:
        """Raises ValueError that says what to install where modules are missing; builders call this."""
        if self.missing_modules:
            way_out = self.install or f"Install the extra: pip install 'crqat-pipeline[{self.extra}]'"
            raise ValueError(
                f"Detectors of the family {self.name!r} need {' and '.join(self.modules)}; "
                f"{' and '.join(self.missing_modules)} cannot be found. {way_out}."
            )
