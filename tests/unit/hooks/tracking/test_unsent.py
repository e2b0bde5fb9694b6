"""What could not be sent is kept whole, and arrives when the server is there again."""

import json

import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from crqat_pipeline.cli import crqat
from crqat_pipeline.hooks.tracking.guard import TrackingGuard
from crqat_pipeline.hooks.tracking.run_writer import RunWriter
from crqat_pipeline.hooks.tracking.unsent import resend


class Switched:
    """A client whose server can be away."""

    def __init__(self, client: MlflowClient) -> None:
        self._client, self.is_away = client, False

    def __getattr__(self, name: str):
        if self.is_away:
            raise MlflowException("API request failed with exception Connection refused")
        return getattr(self._client, name)


@pytest.fixture
def client(mlflow_store) -> Switched:
    return Switched(MlflowClient(tracking_uri=mlflow_store))


@pytest.fixture
def guard(tmp_path) -> TrackingGuard:
    guard = TrackingGuard(mute_s=1000)
    guard.reset(tmp_path)
    return guard


@pytest.fixture
def experiment(client) -> str:
    return client.create_experiment("kept", artifact_location=None)


def report_everything(writer: RunWriter, run_id: str, folder) -> None:
    (folder / "note.txt").write_text("kept")
    writer.metrics(run_id, {"loss": 0.5}, 7)
    writer.parameters(run_id, {f"p{number}": "1" for number in range(150)})
    writer.tags(run_id, {"bits": "4-4-8"})
    writer.artifact(run_id, folder / "note.txt")


def test_a_server_that_comes_back_gets_everything(client, guard, experiment, tmp_path, caplog):
    writer = RunWriter(guard, client)
    first = writer.create(experiment, "before", {})
    client.is_away = True
    report_everything(writer, first, tmp_path)
    second = writer.create(experiment, "meanwhile", {"stage": "qat"})
    writer.metrics(second, {"loss": 0.25}, 1)
    writer.end(second, "FINISHED")
    client.is_away = False
    writer.end(first, "FINISHED")
    writer.resend()
    assert not (tmp_path / "tracking_fallback.jsonl").exists()
    assert sum("MLflow could not" in line for line in caplog.messages) == 1
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["before"].data.metrics == {"loss": 0.5}
    assert len(runs["before"].data.params) == 150
    assert runs["before"].data.tags["bits"] == "4-4-8"
    assert [file.path for file in client.list_artifacts(runs["before"].info.run_id)] == ["note.txt"]
    assert runs["meanwhile"].data.metrics == {"loss": 0.25}
    assert runs["meanwhile"].data.tags["stage"] == "qat"


def test_what_stays_away_is_named_and_sent_by_hand(client, guard, experiment, tmp_path, caplog):
    writer = RunWriter(guard, client)
    run_id = writer.create(experiment, "before", {})
    client.is_away = True
    report_everything(writer, run_id, tmp_path)
    writer.end(run_id, "FINISHED")
    writer.resend()
    assert "MLflow lacks 1 artifact, 1 end, 1 metrics, 2 parameters, 1 tags of this run" in caplog.text
    kept = tmp_path / "tracking_fallback.jsonl"
    assert len(kept.read_text().splitlines()) == 6
    sent = CliRunner().invoke(crqat, ["runs", "--send", str(kept)])
    assert sent.exit_code == 0, sent.output
    assert f"All of {kept} was sent." in sent.output
    client.is_away = False
    assert client.get_run(run_id).info.status == "FINISHED"
    assert client.get_run(run_id).data.metrics == {"loss": 0.5}


def test_a_run_made_halfway_keeps_its_new_name(client, guard, experiment, tmp_path):
    """The server goes again after it made the run: what is left belongs to the run that it made."""
    writer = RunWriter(guard, client)
    client.is_away = True
    pending = writer.create(experiment, "meanwhile", {})
    writer.metrics(pending, {"loss": 0.25}, 1)
    path = tmp_path / "tracking_fallback.jsonl"
    client.is_away = False

    class OnlyMakes:
        def create_run(self, *arguments, **named):
            return client.create_run(*arguments, **named)

        def log_batch(self, *arguments, **named):
            raise ConnectionError("refused")

    assert resend(path, OnlyMakes()) == {"metrics": 1}
    (made,) = client.search_runs([experiment])
    assert [json.loads(line)["run"] for line in path.read_text().splitlines()] == [made.info.run_id]
    assert not resend(path, client)
    assert client.get_run(made.info.run_id).data.metrics == {"loss": 0.25}


def test_a_deleted_run_does_not_hold_up_the_others(client, guard, experiment, tmp_path):
    writer = RunWriter(guard, client)
    gone, there = writer.create(experiment, "a", {}), writer.create(experiment, "b", {})
    client.is_away = True
    writer.metrics(gone, {"loss": 1.0})
    writer.metrics(there, {"loss": 2.0})
    client.is_away = False
    client.delete_run(gone)
    assert resend(tmp_path / "tracking_fallback.jsonl", client) == {"metrics": 1}
    assert client.get_run(there).data.metrics == {"loss": 2.0}
