"""What a run leaves in MLflow: one run per stage under one parent."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from mlflow.data import get_source
from mlflow.entities import Dataset as DatasetEntity
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from crqat_pipeline.catalog_io.prepared_split import PreparedSplitDataset
from crqat_pipeline.cli import crqat
from crqat_pipeline.hooks.tracking.input_digests import input_digests, md5
from tests.support.dummy_stages import CATALOG, stage

DETAILS = {
    "type": "crqat_pipeline.catalog_io.json_document.JsonDocument",
    "filepath": "${globals:data_root}/evaluation/metrics.json",
    "metadata": {"dvc": {"kind": "outs"}, "mlflow": "details"},
}


def curve(uri: str, run_id: str, name: str) -> list[float]:
    return [point.value for point in MlflowClient(tracking_uri=uri).get_metric_history(run_id, name)]


def artifacts(uri: str, run_id: str) -> set[str]:
    return {file.path for file in MlflowClient(tracking_uri=uri).list_artifacts(run_id)}


def test_stages_are_children_of_the_session(dummy, mlflow_store):
    dummy.run("crqat_full")
    runs = dummy.runs(mlflow_store)
    assert set(runs) == {"crqat_full", "teacher", "baselines", "evaluation"}
    parent = runs.pop("crqat_full")
    assert {run.data.tags[MLFLOW_PARENT_RUN_ID] for run in runs.values()} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *runs.values()]} == {"FINISHED"}
    assert {run.data.tags["stage"] for run in runs.values()} == set(runs)
    assert {run.data.tags["seed"] for run in runs.values()} == {"3"}
    assert runs["teacher"].data.tags["kedro.env"] == "base"


def test_each_stage_keeps_its_own_curve(dummy, mlflow_store):
    dummy.run("crqat_full")
    runs = dummy.runs(mlflow_store)
    assert curve(mlflow_store, runs["teacher"].info.run_id, "loss") == [1.0, 0.5, pytest.approx(1 / 3)]
    assert curve(mlflow_store, runs["baselines"].info.run_id, "qat/loss") == [1.0, 0.5]


def test_parameters_without_the_stage_below_and_with_it_above(dummy, mlflow_store):
    dummy.run("crqat_full")
    runs = dummy.runs(mlflow_store)
    assert runs["teacher"].data.params == {"train.num_steps": "3", "train.learning_rate": "0.1"}
    assert runs["baselines"].data.params == {"qat.train.num_steps": "2", "qat.train.learning_rate": "0.1"}
    assert runs["crqat_full"].data.params["teacher.train.num_steps"] == "3"


def test_marked_datasets_reach_the_stage_and_its_parent(dummy, mlflow_store):
    dummy.run("crqat_full")
    runs = dummy.runs(mlflow_store)
    assert runs["evaluation"].data.metrics == {"AP": 0.2, "teacher/AP": 0.3}
    assert runs["crqat_full"].data.metrics["evaluation/teacher/AP"] == 0.3
    assert runs["baselines"].data.metrics["qat/final/loss"] == 0.5
    assert artifacts(mlflow_store, runs["teacher"].info.run_id) == {"student.json"}
    assert artifacts(mlflow_store, runs["baselines"].info.run_id) == {"qat"}


def test_inputs_are_recorded_with_the_checksum_of_dvc(dummy, mlflow_store):
    dummy.run("crqat_full")
    inputs = dummy.runs(mlflow_store)["evaluation"].inputs.dataset_inputs
    assert {each.dataset.name for each in inputs} == {"qat_student", "teacher_student"}
    assert {len(each.dataset.digest) for each in inputs} == {32}


def test_data_is_a_dataset_of_mlflow(tmp_path):
    pa.parquet.write_table(pa.table({"id": [1, 2, 3], "file_name": ["a", "b", "c"]}), tmp_path / "a.parquet")
    catalog = DataCatalog({"train_set": PreparedSplitDataset(filepath=str(tmp_path / "a.parquet"))})
    (read,) = input_digests(["train_set", "tracker"], catalog, "teacher")
    assert {tag.key: tag.value for tag in read.tags} == {"mlflow.data.context": "training"}
    assert json.loads(read.dataset.profile) == {"num_rows": 3, "columns": "id, file_name"}
    source = get_source(DatasetEntity.from_dictionary(dict(read.dataset)))
    assert Path(source.load()) == tmp_path / "a.parquet"
    assert read.dataset.digest == md5(tmp_path / "a.parquet")


def test_a_file_that_has_changed_has_another_checksum(tmp_path):
    path = tmp_path / "a.json"
    seen = [(path.write_text(text), md5(path))[1] for text in ("[1]", "[2]", "[1, 2]")]
    assert len(set(seen)) == 3


def test_two_sessions_in_one_process_stay_apart(dummy, mlflow_store):
    dummy.run("teacher")
    first = dummy.runs(mlflow_store)["teacher"].info.run_id
    dummy.run("teacher", params={"teacher": {"train": {"num_steps": 1}}})
    second = dummy.runs(mlflow_store)
    experiment = second["teacher"].info.experiment_id
    assert len(MlflowClient(tracking_uri=mlflow_store).search_runs([experiment])) == 2
    assert len(curve(mlflow_store, first, "loss")) == 3


def test_stages_of_one_repro_find_their_parent(dummy, mlflow_store, monkeypatch):
    for name in ("teacher", "baselines", "evaluation"):
        monkeypatch.setenv("DVC_STAGE", name)
        dummy.run(name)
    runs = dummy.runs(mlflow_store)
    group = next(run for name, run in runs.items() if name.startswith("dvc-"))
    stages = [runs[name] for name in ("teacher", "baselines", "evaluation")]
    assert len(runs) == 4
    assert {run.data.tags[MLFLOW_PARENT_RUN_ID] for run in stages} == {group.info.run_id}
    assert group.info.status == "FINISHED"
    assert group.data.params["teacher.train.num_steps"] == "3"
    assert group.data.metrics["evaluation/AP"] == 0.2
    assert runs["teacher"].data.tags["dvc.stage"] == "teacher"
    assert "dvc.stage" not in group.data.tags


def test_other_parameters_are_another_group(dummy, mlflow_store, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "teacher")
    dummy.run("teacher")
    dummy.run("teacher", params={"teacher": {"train": {"num_steps": 1}}})
    assert sum(name.startswith("dvc-") for name in dummy.runs(mlflow_store)) == 2


def test_a_failing_stage_fails_alone(dummy, mlflow_store):
    def fail(student: dict) -> dict:
        raise ValueError("no luck")

    broken = Pipeline([Node(fail, "teacher_student", "fail_metrics", name="fail", namespace="stage2")])
    dummy.register(stage2=broken, teacher=dummy.stages["teacher"])
    with pytest.raises(ValueError, match="no luck"):
        dummy.run("crqat_full")
    statuses = {name: run.info.status for name, run in dummy.runs(mlflow_store).items()}
    assert statuses == {"crqat_full": "FAILED", "teacher": "FINISHED", "stage2": "FAILED"}


def test_the_summary_keeps_nodes_of_one_stage_apart(dummy, mlflow_store):
    """Two trainings of one stage report the same names; the run above both has both."""
    dummy.write(
        "base",
        "parameters_baselines",
        {"baselines": {"qat": {"train": {"num_steps": 2}}, "finetuned": {"train": {"num_steps": 3}}}},
    )
    both = stage("qat", "baselines.qat") + stage("finetuned", "baselines.finetuned")
    dummy.register(teacher=dummy.stages["teacher"], baselines=both)
    dummy.run("crqat_full")
    parent = dummy.runs(mlflow_store)["crqat_full"].data.metrics
    assert {name for name in parent if name.startswith("baselines/")} == {
        "baselines/qat/final/loss",
        "baselines/finetuned/final/loss",
    }


def test_details_stay_with_their_stage(dummy, mlflow_store):
    dummy.write("base", "catalog", CATALOG | {"evaluation_metrics": DETAILS})
    dummy.run("crqat_full")
    runs = dummy.runs(mlflow_store)
    assert runs["evaluation"].data.metrics == {"AP": 0.2, "teacher/AP": 0.3}
    assert not [name for name in runs["crqat_full"].data.metrics if name.startswith("evaluation/")]


def test_no_width_stands_on_what_has_full_precision(dummy, mlflow_store):
    dummy.write("base", "parameters_quantization", {"quantization": {"bits": "4-4-8"}})
    dummy.run("crqat_full")
    tags = {name.split()[0]: run.data.tags.get("bits") for name, run in dummy.runs(mlflow_store).items()}
    assert tags == {"crqat_full": "4-4-8", "teacher": None, "baselines": "4-4-8", "evaluation": "4-4-8"}


def test_the_command_names_every_option(dummy, mlflow_store):
    dummy.run("teacher", params={"teacher": {"train": {"num_steps": 1}}})
    command = dummy.runs(mlflow_store)["teacher"].data.tags["kedro_command"]
    assert command == "kedro run --pipelines=teacher --env=base --params=teacher.train.num_steps=1"


def test_the_experiment_opens_as_one_of_models_with_the_figures_in_columns(dummy, mlflow_store):
    dummy.run("teacher")
    client = MlflowClient(tracking_uri=mlflow_store)
    experiment = client.get_experiment_by_name("dummy")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert (
        "metrics.`evaluation/AP/crqat`"
        in json.loads(experiment.tags["mlflow.sharedViewState.crqat"])["selectedColumns"]
    )
    client.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "finetuning")
    dummy.run("teacher")
    assert client.get_experiment_by_name("dummy").tags["mlflow.experimentKind"] == "finetuning"


def test_crqat_runs_prints_the_page_of_each_experiment(dummy, mlflow_store):
    dummy.run("teacher")
    number = MlflowClient(tracking_uri=mlflow_store).get_experiment_by_name("dummy").experiment_id
    printed = CliRunner().invoke(crqat, ["runs"])
    assert printed.exit_code == 0, printed.output
    assert printed.output == (
        f"dummy: http://127.0.0.1:5000/#/experiments/{number}/runs?viewStateShareKey=crqat&workflowType=machine_learning\n"
    )


def test_crqat_runs_finds_the_run_that_wrote_a_file(dummy, mlflow_store):
    dummy.run("teacher")
    run = dummy.runs(mlflow_store)["teacher"]
    written = dummy.folder / "data" / "teacher" / "metrics.json"
    said = CliRunner().invoke(crqat, ["runs", "--that-wrote", str(written)])
    page = f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert said.output == f"teacher: {page}\n"
    written.write_text("{}")
    said = CliRunner().invoke(crqat, ["runs", "--that-wrote", str(written)])
    assert said.output.startswith("No run in this store wrote a file with the md5 of")
