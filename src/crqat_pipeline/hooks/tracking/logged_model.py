"""A model file as a LoggedModel of MLflow: code, signature, an example, requirements, and the file itself."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property

import crqat_pipeline
from crqat_pipeline.hooks.tracking.input_digests import DIGEST_TAG, md5

NAME = "crqat"
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "open_clip_torch",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "torch",
    "torchvision",
    "tqdm",
)
"""What the predictor imports; versions are those of this environment. The package itself travels with the model."""

DETECTION = Object(
    [
        Property("prompt", DataType.string),
        Property("score", DataType.double),
        Property("box_xyxy_px", Array(DataType.double)),
    ]
)

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.binary, "image")]),
    outputs=Schema([ColSpec(Array(DETECTION), "detections")]),
    params=ParamSchema(
        [
            ParamSpec("prompts", DataType.string, ""),  # separated by commas; the model's own where it is empty
            ParamSpec("score_threshold", DataType.double, 0.3),
            ParamSpec("max_detections", DataType.integer, 100),
        ]
    ),
)


def example() -> pd.DataFrame:
    """One small picture, grey with a light square."""
    from PIL import Image

    picture = Image.new("RGB", (96, 64), (90, 90, 90))
    picture.paste((220, 220, 220), (30, 20, 60, 50))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return pd.DataFrame({"image": [buffer.getvalue()]})


def log_model(file: Path, run_id: str, tags: Mapping[str, str]) -> str:
    """Make the LoggedModel of this file in a run; returns its id. Raises what MLflow and the connection raise."""
    info = Model.log(
        None,
        mlflow.pyfunc,
        name=NAME,
        run_id=run_id,
        tags={**tags, DIGEST_TAG: md5(file)},
        model_type="open-vocabulary detector",
        flavor_name="pyfunc.ModelFromCode",
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"model": str(file)},
        code_paths=[str(Path(crqat_pipeline.__file__).parent)],
        signature=SIGNATURE,
        input_example=example(),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
    )
    return str(info.model_id)
