"""The house holds: import contracts, file lengths, no machine in the sources, pins without addresses."""

import re
import subprocess
import sys
import tomllib
from inspect import signature
from itertools import chain
from pathlib import Path
from statistics import median

import pytest
from kedro.framework.project import pipelines

from tests.support.dvc_agreement import load_catalog

MAX_LINES = 300
MAX_MEDIAN_LINES = 110
TEXT_SUFFIXES = {".py", ".yml", ".yaml", ".toml", ".md", ".txt", ".html", ".json", ".cfg", ".ini", ".ipynb", ""}
FORBIDDEN_NAMES = {"utils", "helpers", "misc", "common", "base", "manager"}
MACHINE = re.compile(
    r"(?<![\w.])/(work|root|home/\w+)/|extra-index-url|index-url|find-links|(py)?pi\.org|pythonhosted\.org|anaconda\.org"
)
"""Paths of one machine and hosts of package registries. Addresses of papers, weights and licences are welcome."""


def tracked(project: Path) -> list[Path]:
    """Files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := project / name).is_file()]


def sources(project: Path) -> list[Path]:
    return sorted((project / "src" / "crqat_pipeline").rglob("*.py"))


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_import_contracts_hold(project):
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-logo"], cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr


def test_files_are_short(project):
    lengths = {path.relative_to(project).as_posix(): num_lines(path) for path in sources(project)}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
    assert median(length for name, length in lengths.items() if not name.endswith("__init__.py")) <= MAX_MEDIAN_LINES


YOLO_WORLD = re.compile(r"yolo_?world|td_p3|bu_p[45]|\(8, 16, 32\)", re.IGNORECASE)
FAMILY_FOLDERS = ("yolo_world", "one_stage", "dosod", "omdet_turbo", "detectron2_retinanet")
ITS_OWN_PLACES = tuple(f"{room}/{folder}/" for room in ("detectors", "export/onnx") for folder in FAMILY_FOLDERS)
ITS_TABLES = {
    "detectors/table.py",
    "export/onnx/table.py",
    "detectors/weights/restricted_pickle.py",  # names of upstream packages
    "dry_run/lengths.py",  # the detector whose GPU-hours the paper gives
}


def test_one_family_lives_in_its_own_folders(project):
    """No other room knows YOLO-World or its kin: neither their modules, nor their feature names, nor their strides."""
    known = {}
    for path in sources(project):
        place = path.relative_to(project / "src" / "crqat_pipeline").as_posix()
        if place.startswith(ITS_OWN_PLACES) or place in ITS_TABLES:
            continue
        code = re.sub(r'""".*?"""|#[^\n]*', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        if found := YOLO_WORLD.findall(code):
            known[place] = found
    assert known == {}


def test_files_are_named_after_a_subject(project):
    assert [path for path in sources(project) if path.stem in FORBIDDEN_NAMES] == []


def test_test_files_have_names_of_their_own(project):
    names = [path.name for path in (project / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_no_machine_and_no_registry_is_named(project):
    this = Path(__file__).resolve()
    found = []
    for path in tracked(project):
        if path.suffix not in TEXT_SUFFIXES or path.resolve() == this or path.stat().st_size > 2_000_000:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(project)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_large_and_no_pickled_files(project):
    files = tracked(project)
    assert [path for path in files if path.stat().st_size > 2_000_000] == []
    assert [path for path in files if path.suffix in {".pt", ".pth", ".pkl", ".bin"}] == []


def test_constraints_pin_every_direct_dependency_without_addresses(project):
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)] == []
    names = {pin.split("==")[0] for pin in pins}
    assert [name for name in names if re.match(r"nvidia-|cuda-|triton$", name)] == []
    with (project / "pyproject.toml").open("rb") as file:
        metadata = tomllib.load(file)["project"]
    wanted = [*metadata["dependencies"], *chain.from_iterable(metadata["optional-dependencies"].values())]
    direct = {re.split(r"[<>=!\[ ;]", each)[0].lower().replace("_", "-") for each in wanted}
    assert direct - names - {"crqat-pipeline"} == set()


MAX_NODE_PARAMETERS = 8


def test_a_node_has_few_parameters(project):
    """What always travels together is one entry (recipes/gathered.py); `**forms` and the like count as one."""
    load_catalog(project, params={"evaluation": {"forms": {"vocabulary_kd": {"label": "V", "checkpoint": "v.onnx"}}}})
    counts = {
        f"{name}: {node.name}": len(signature(node.func).parameters)
        for name, pipeline in pipelines.items()
        for node in pipeline.nodes
    }
    assert len(counts) > 60
    assert {name: count for name, count in counts.items() if count > MAX_NODE_PARAMETERS} == {}
