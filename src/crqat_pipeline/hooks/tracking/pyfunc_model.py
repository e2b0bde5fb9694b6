"""A model file as MLflow serves it: pictures in, boxes out. MLflow keeps this file with the model and runs it.

Input: a column `image` with the bytes of a picture each (base64 in JSON). Output: a column `detections`, a list of
{"prompt", "score", "box_xyxy_px"} for each picture, best first.
"""

import io
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class PictureDetector(PythonModel):  # type: ignore[misc]
    """The predictor of `crqat detect` behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        from crqat_pipeline.inference import Predictor

        self._predictor = Predictor.load(context.artifacts["model"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # hints would be its schema
        """Raises ValueError for a picture that cannot be read and for prompts that the model cannot be asked."""
        return pd.DataFrame({"detections": [self._found(content, params or {}) for content in model_input["image"]]})

    def _found(self, content: bytes, params: dict[str, Any]) -> list[dict[str, Any]]:
        from PIL import Image

        from crqat_pipeline.inference.prompt_resolver import split_prompts
        from crqat_pipeline.inference.record import detection_rows

        words = str(params.get("prompts") or "")
        bank = self._predictor.text_bank(split_prompts(words) if words.strip() else None)
        (found,) = self._predictor.predict(
            Image.open(io.BytesIO(content)),
            bank,
            score_threshold=float(params.get("score_threshold", 0.3)),
            max_detections=int(params.get("max_detections", 100)),
        )
        return detection_rows(found, bank.prompts)


set_model(PictureDetector())
