import pytest

from crqat_pipeline.export.web import find_runtime
from crqat_pipeline.export.web.runtime_package import ARCHIVE


def test_another_package_is_refused(tmp_path):
    (tmp_path / ARCHIVE).write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"is not onnxruntime-web 1\.30\.0: its sha512 is .*Delete it"):
        find_runtime(tmp_path)


def test_without_npm_the_way_by_hand_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"npm, which is not installed. Run `npm pack onnxruntime-web@1\.30\.0`"):
        find_runtime(tmp_path)
