"""Turns outputs into numbers (floor 3)."""

from crqat_pipeline.evaluation.evaluator import evaluate
from crqat_pipeline.evaluation.input_faults import EvaluationInputError
from crqat_pipeline.evaluation.result import CategoryResult, EvaluationResult

__all__ = ["CategoryResult", "EvaluationInputError", "EvaluationResult", "evaluate"]
