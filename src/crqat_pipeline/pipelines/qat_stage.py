"""The one QAT pipeline: plain QAT, the full-precision control and every stage of the curriculum are instances of it."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from crqat_pipeline.curriculum.plan import PAPERS_PLAN, stage_names
from crqat_pipeline.pipelines.inspection_nodes import DIAGNOSTICS, draw_scales, inspect_trained
from crqat_pipeline.pipelines.qat_nodes import train_stage
from crqat_pipeline.runtime.needs import GPU, LIGHT

SHARED_INPUTS = ("teacher_checkpoint", "stage_data", "calibration_data", "tracker")


def qat_pipeline(name: str, student_in: str, namespace: str | None = None, is_quantized: bool = True) -> Pipeline:
    """Train a stage and inspect its quantizers; `name` prefixes its outputs, its parameters are `<namespace>.train`."""
    nodes = [
        Node(
            train_stage,
            inputs={
                "student_in": "student_in",
                "teacher": "teacher_checkpoint",
                "data": "stage_data",
                "quantization": "params:quantization",
                "spec": "params:train",
                "run": "params:run",
                "resume_folder": "resume",
                "tracker": "tracker",
            },
            outputs=["student", "metrics", "history", "scales"],
            name="train",
            tags=GPU,
        ),
    ]
    outputs = ["student", "metrics", "history", "scales"]
    if is_quantized:
        nodes += [
            Node(
                inspect_trained,
                inputs=["student", "calibration_data", "params:train", "params:diagnostics", "params:run"],
                outputs=list(DIAGNOSTICS),
                name="inspect",
                tags=GPU,
            ),
            Node(draw_scales, inputs="scales", outputs="scale_map", name="draw_scales", tags=LIGHT),
        ]
        outputs += [*DIAGNOSTICS, "scale_map"]
    shared = SHARED_INPUTS if is_quantized else [key for key in SHARED_INPUTS if key != "calibration_data"]
    parameters = ["params:quantization", "params:run", *(["params:diagnostics"] if is_quantized else [])]
    return Pipeline(
        Pipeline(nodes),
        namespace=namespace or name,
        inputs={"student_in": student_in, "resume": f"{name}_resume"} | {key: key for key in shared},
        outputs={key: f"{name}_{key}" for key in outputs},
        parameters={key: key for key in parameters},
    )


def curriculum_pipelines(plan: str = PAPERS_PLAN) -> dict[str, Pipeline]:
    """Stage of the plan -> its pipeline; each goes on with the student of the one before."""
    stages = stage_names(plan)
    students = ("teacher_checkpoint", *(f"{name}_student" for name in stages))
    return {name: qat_pipeline(name, student_in=student) for name, student in zip(stages, students, strict=False)}


def last_student(plan: str = PAPERS_PLAN) -> str:
    """What the plan as a whole gives."""
    return f"{stage_names(plan)[-1]}_student"
