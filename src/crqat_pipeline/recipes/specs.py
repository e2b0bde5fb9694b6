"""One validated spec per parameter group; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crqat_pipeline.detection_data.letterbox import LARGEST_SIDE_PX
from crqat_pipeline.detection_data.loader_spec import LoaderSpec
from crqat_pipeline.detection_data.open_shapes import OpenShapesSpec
from crqat_pipeline.detection_data.published import PublishedSpec
from crqat_pipeline.distillation.objective import DistillationSpec
from crqat_pipeline.export.onnx.requirements import require_onnx
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.quantization.transition_spec import TransitionSpec
from crqat_pipeline.recipes.form_spec import Forms, FormSpec
from crqat_pipeline.text_encoders.table import TextEncoderSpec
from crqat_pipeline.training.fusion_balance import FusionBalanceSpec
from crqat_pipeline.training.spec import OptimizationSpec
from crqat_pipeline.training.workers.spec import WorkersSpec

BatchNormTreatment = Literal["frozen", "live", "re_estimated", "frozen_re_estimated"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunSpec(_Spec):
    """What holds for a whole run."""

    seed: int = Field(ge=0, lt=2**64, description="Every random draw follows from it")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    reuse: bool = Field(
        default=True, description="Take a finished stage, and finished detections, that have the same inputs and code"
    )
    workers: WorkersSpec = Field(
        default_factory=WorkersSpec,
        description="Processes that share every training batch, and the detections of the evaluation",
    )
    teacher_memory_mb: int = Field(
        default=512,
        ge=0,
        description="MiB per worker for what the teacher's backbone said about images that come again unchanged or "
        "mirrored, held where the teacher runs; 0: it always computes",
    )


class FetchDataSpec(_Spec):
    """Where images and annotations come from."""

    source: Literal["open_shapes", "files"] = Field(description="Render the embedded benchmark, or check given files")
    decode_every_image: bool = Field(default=True, description="Open each image fully, to find truncated ones")
    open_shapes: OpenShapesSpec | None = Field(default=None, description="For source open_shapes")
    published: PublishedSpec | None = Field(default=None, description="For source files: fetch what is missing")

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        if self.source == "open_shapes" and self.open_shapes is None:
            raise ValueError("source 'open_shapes' needs the section open_shapes; got none")
        if self.source == "open_shapes" and self.published is not None:
            raise ValueError("source 'open_shapes' renders its images and fetches none; got the section published")
        return self


class NamedBuilderSpec(_Spec):
    """A row of a table and its options."""

    name: str = Field(min_length=1, description="Row of the table")
    options: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of its builder")


class QatPromptsSpec(_Spec):
    """The prompts of QAT data that has a vocabulary of its own."""

    text_encoder: str = Field(description="Which of text_encoders embeds them")
    synonyms: bool = Field(default=True, description="Embed every name of a category, not the first alone")
    padding_prompt: str | None = Field(default=None, description="Embed this one too, as the loaders' padding_prompt")
    cache: Path | None = Field(default=None, description="Folder that keeps embeddings, so that a killed run goes on")


class DataPrepSpec(_Spec):
    """Which images and prompts the stages see."""

    qat_images: int | None = Field(default=None, ge=1, description="Images for QAT, drawn by seed; all when absent")
    calibration_images: int = Field(default=256, ge=1, le=256, description="Images for calibration (paper: 256)")
    text_encoders: dict[str, TextEncoderSpec] = Field(min_length=1, description="Encoders that this file describes")
    text_encoder: str = Field(description="Which of them embeds the vocabulary of the annotations")
    lvis_text_encoder: str | None = Field(
        default=None, description="Which of them embeds the LVIS vocabulary, where it is another one"
    )
    qat_prompts: QatPromptsSpec | None = Field(
        default=None, description="Where the QAT data names other prompts than the validation annotations do"
    )

    @model_validator(mode="after")
    def _encoders_are_described(self) -> Self:
        asked = (self.qat_prompts.text_encoder,) if self.qat_prompts else ()
        for name in (self.text_encoder, self.lvis_text_encoder or self.text_encoder, *asked):
            if name not in self.text_encoders:
                raise ValueError(
                    f"text_encoder names one of text_encoders ({', '.join(self.text_encoders)}); got {name!r}"
                )
        return self

    @property
    def encoder(self) -> TextEncoderSpec:
        """Of the vocabulary of the annotations."""
        return self.text_encoders[self.text_encoder]

    @property
    def lvis_encoder(self) -> TextEncoderSpec:
        """Of the LVIS vocabulary."""
        return self.text_encoders[self.lvis_text_encoder or self.text_encoder]


class TeacherSpec(_Spec):
    """The full-precision detector: trained here, or loaded."""

    weights: str | None = Field(default=None, description="File or URL of ready weights; trained when absent")
    loader: LoaderSpec
    optimization: OptimizationSpec


class QatSpec(_Spec):
    """What a QAT does in all of its stages."""

    is_quantized: bool = Field(default=True, description="False: the full-precision fine-tune, a control")
    prompt_split: str | None = Field(
        default=None, description="Split of the vocabulary whose prompts are asked about beside the data's own"
    )
    batch_norm: BatchNormTreatment = Field(
        default="frozen",
        description="Running statistics of trained parts: kept, updated, or measured again at the end on the "
        "calibration images, after they were updated (re_estimated) or kept (frozen_re_estimated)",
    )
    transitions: TransitionSpec | None = Field(
        default=None, description="Weight codes that change are counted, and damped, frozen or scheduled as it says"
    )
    fusion_balance: FusionBalanceSpec | None = Field(
        default=None, description="Gradients into the branches of a concatenation are balanced, in training alone"
    )
    loader: LoaderSpec
    optimization: OptimizationSpec


class QatStageSpec(QatSpec):
    """One run of the QAT loop over some parts of a detector."""

    name: str = Field(min_length=1, description="Name of the stage: labels its progress and seeds its draws")
    parts: tuple[str, ...] = Field(min_length=1, description="Parts that are trained (and quantized), in order")
    data_window: tuple[float, float] = Field(
        default=(0.0, 1.0), description="Range of the QAT images that this stage sees, as fractions"
    )
    trains: Literal["weights", "correction"] = Field(
        default="weights", description="correction: only gain and shift per channel (EMA+QC, Gupta & Asthana)"
    )
    quantizes: Literal["all", "activations"] = Field(
        default="all", description="activations: weights stay in full precision in this stage"
    )
    distillation: DistillationSpec = Field(default_factory=DistillationSpec, description="Terms beside the task loss")

    @model_validator(mode="after")
    def _window_is_a_range(self) -> Self:
        start, stop = self.data_window
        if not 0 <= start < stop <= 1:
            raise ValueError(f"data_window is a range within [0, 1]; got {self.data_window}")
        return self


class PtqSpec(_Spec):
    """Calibration alone."""

    image_size_px: int = Field(
        ge=1, le=LARGEST_SIDE_PX, description="Side of the letterboxed calibration images, in pixels"
    )


class DiagnosticsSpec(_Spec):
    """What is measured of the quantizers of every student."""

    images: int = Field(
        default=4, ge=1, description="Calibration images on which each quantizer is switched on alone (leave-one-in)"
    )


class CardSpec(_Spec):
    """What only people know of a model: for its card. Rendered data and a teacher trained here need none of it."""

    license: str | None = Field(default=None, description="Of the model, as model hubs spell it: apache-2.0")
    weights_license: str | None = Field(default=None, description="Of the teacher's ready weights, in words")
    data: str | None = Field(default=None, description="What the images are, in words")
    data_license: str | None = Field(default=None, description="Of images and annotations, in words")


class ExportSpec(_Spec):
    """What is written beside the packed file, and how both are proved equal to the student."""

    image_size_px: int = Field(ge=1, le=LARGEST_SIDE_PX, description="Side of the letterboxed input, in pixels")
    parity_images: int = Field(default=32, ge=1, description="Calibration images compared output by output")
    pre_activation_images: int = Field(
        default=64,
        ge=0,
        description="Calibration images that a student without pre-activation quantizers gets 8-bit ones from, for the "
        "graph of form auto alone: integers in onnxruntime as in OpenVINO. 0: none, and the form is openvino",
    )
    onnx: OnnxSpec | None = Field(default=None, description="The ONNX graph; null writes an empty file in its place")
    card: CardSpec = Field(default_factory=CardSpec, description="For the model card")

    @model_validator(mode="after")
    def _onnx_can_be_made(self) -> Self:
        if self.onnx is None:
            return self
        try:
            require_onnx()
        except ValueError as error:
            raise ValueError(f"{error} Or switch it off: int4_export.onnx=null") from error
        if self.onnx.image_size_px not in (None, (self.image_size_px, self.image_size_px)):
            raise ValueError(
                f"onnx.image_size_px is [{self.image_size_px}, {self.image_size_px}] as image_size_px says, or absent "
                f"for any size; got {list(self.onnx.image_size_px or ())}"
            )
        if (self.onnx.batch_size or 1) > self.parity_images:
            raise ValueError(
                f"a graph for {self.onnx.batch_size} images needs as many parity_images; got {self.parity_images}"
            )
        return self


class EvaluationSpec(_Spec):
    """What is measured, and what is drawn."""

    image_size_px: int = Field(ge=1, le=LARGEST_SIDE_PX, description="Side of the letterboxed input, in pixels")
    batch_size: int = Field(default=25, ge=1)
    score_threshold: float = Field(default=0.001, ge=0, lt=1, description="On the sigmoid score")
    max_detections: int = Field(
        default=300, ge=1, description="Per image: 300 for COCO and LVIS protocols, 1000 for lvis-fixed"
    )
    lvis_protocol: Literal["lvis", "lvis-fixed"] = Field(
        default="lvis", description="Of the LVIS figures; lvis-fixed is the paper's"
    )
    backend: Literal["reference", "fast"] = Field(default="reference", description="reference: pycocotools, lvis")
    processes: int = Field(default=1, ge=1, description="Processes that score; they change no figure")
    on_training_images: bool = Field(default=False, description="Also score the QAT images (COCO protocol)")
    alignment_images: int = Field(default=100, ge=1, description="Images for the distances to the teacher's embeddings")
    level_images: int = Field(
        default=200, ge=0, description="Images for the AP of each level of the detector's pyramid; 0: not measured"
    )
    group_images: int = Field(
        default=0,
        ge=0,
        description="Validation images for the AP of the forms of role groups, one group of quantizers on at a time; "
        "0: not measured",
    )
    gallery_images: int = Field(default=6, ge=0, description="Images drawn side by side in the report")
    gallery_threshold: float = Field(default=0.3, gt=0, lt=1, description="Score from which a detection is drawn")
    heat_map_images: int = Field(default=4, ge=0, description="Images drawn as maps of similarity to their classes")
    forms: dict[str, FormSpec] = Field(
        default_factory=dict,
        description="What is compared, in the order of the tables; null takes back a form of conf/base",
    )
    latency_calls: int = Field(default=15, ge=1, description="Timed calls of one image per form, on one thread")

    @field_validator("forms", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {name: one for name, one in value.items() if one is not None} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _forms_are_one_comparison(self) -> Self:
        if self.forms:
            Forms(self.forms)
        return self

    @property
    def compared(self) -> Forms:
        """The forms of the evaluation. Raises ValueError where none is named."""
        return Forms(self.forms)
