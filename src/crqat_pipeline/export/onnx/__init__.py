"""ONNX graphs written from a detector's stored integers, one emitter per block; nothing is traced."""

from crqat_pipeline.export.onnx.form_table import FORMS
from crqat_pipeline.export.onnx.model import build_onnx
from crqat_pipeline.export.onnx.spec import OnnxSpec
from crqat_pipeline.export.onnx.writer import OnnxReport, write_onnx

__all__ = ["FORMS", "OnnxReport", "OnnxSpec", "build_onnx", "write_onnx"]
