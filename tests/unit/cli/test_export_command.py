"""`crqat export`: from a packed file or checkpoint to a proved graph, and every wish that cannot be granted."""

import json

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from crqat_pipeline.cli.export import FORMS as OFFERED
from crqat_pipeline.cli.export import command
from crqat_pipeline.detectors import build_detector
from crqat_pipeline.export.onnx import FORMS
from crqat_pipeline.export.web import find_runtime
from crqat_pipeline.model_files.packed import write_packed
from crqat_pipeline.model_files.text_bank_file import write_text_bank
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from crqat_pipeline.structures.vocabulary import TextBank
from crqat_pipeline.text_encoders.table import OpenClipSpec
from tests.support.tiny_clip import tiny_encoder_row

pytest.importorskip("onnxruntime")
BANK = TextBank(("red lamp", "stray cat"), torch.eye(2, 64), "test", is_normalized=True)
NAME = "yolo_world_open_shapes"


def pack(folder, **more):
    torch.manual_seed(0)
    detector = build_detector(NAME).eval()
    spec = QuantSpec.parse("4-4-8", activation_initialization="minmax", weight_initialization="minmax", **more)
    prepare(detector, spec)
    calibrate(detector, [(torch.rand(1, 3, 64, 64), BANK.embeddings_KD)], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    path = folder / "m.int4.safetensors"
    row = {"detector_name": NAME, "detector_options": {}, "quantization": spec}
    write_packed(path, detector, **row, text_bank=BANK, extra_metadata={"image_size_px": 64, "stage": "test"})
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Trained with pre-activation quantizers, biases not aligned."""
    return pack(tmp_path_factory.mktemp("model"), pre_activation_bits=8)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    for name in ("a.png", "b.jpg", "c.png"):
        Image.fromarray(noise).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The full-precision detector, without prompts."""
    path = tmp_path_factory.mktemp("model") / "teacher.safetensors"
    facts = {"detector": {"name": NAME, "options": {}}, "quantization": None, "quantized_parts": []}
    save_file(build_detector(NAME).state_dict(), path, metadata={"crqat": json.dumps(facts)})
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def facts_of(path):
    return json.loads({entry.key: entry.value for entry in onnx.load(path).metadata_props}["crqat"])


def test_the_command_offers_every_form():
    assert set(OFFERED) == {"auto", *FORMS}


def test_a_student_trained_without_pre_activations_gets_them_where_there_are_images(pictures, tmp_path):
    model = pack(tmp_path)
    result = run(model, "--out", tmp_path / "m.onnx", "--num-images", 2, "--images", pictures, "--image-size", "64x96")
    assert result.exit_code == 0, result.output
    assert "pre-activations calibrated on" in result.output
    assert "form fast" in result.output
    shape = onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in shape[1:]] == [3, 64, 96]
    assert "image_size_px" not in facts_of(tmp_path / "m.onnx")["extra"]


def test_the_page_needs_images_prompts_and_a_folder_of_its_own(packed, checkpoint, pictures, tmp_path):
    plain = pack(tmp_path)
    web = ("--form", "web", "--out", tmp_path / "site")
    for arguments, text in (
        ([plain, *web], "Give pictures of the kind it will see: --pre-activation-images"),
        ([checkpoint, *web], "Give --vocabulary"),
        ([packed, *web, "--nms", 5, "--static"], "got --static, --nms"),
        ([packed, "--form", "web", "--out", pictures], "holds something else"),
        ([packed, *web, "--runtime", pictures], "npm"),
    ):
        if "--runtime" in arguments:
            (pictures / "onnxruntime-web-1.30.0.tgz").write_bytes(b"not npm's")
            text = "is not onnxruntime-web"
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert text in result.output
    assert not (tmp_path / "site").exists()


@pytest.fixture(scope="module")
def encoder_row(tmp_path_factory):
    pytest.importorskip("open_clip")
    return tiny_encoder_row(tmp_path_factory.mktemp("clip"), dim=64)


def test_a_text_encoder_belongs_to_the_page_and_to_its_bank(packed, encoder_row, tmp_path):
    web, encoder = ("--form", "web", "--out", tmp_path / "site"), "--text-encoder"
    for arguments, text in (
        ([packed, "--out", tmp_path / "m.onnx", encoder, "open_clip"], "it belongs to the form web; got auto"),
        ([packed, *web, encoder, "composed"], "A text encoder is one of "),
        ([packed, *web, encoder, '{"name": "composed", "words": ["cat"]}'], "got the text encoder 'composed'"),
        ([packed, *web, encoder, tmp_path / "none.safetensors"], "No file of CLIP weights at"),
        ([packed, *web, encoder, json.dumps(encoder_row)], "by the encoder that made its bank: test; open_clip:tiny"),
        (
            [packed, *web, encoder, json.dumps({**encoder_row, "normalize": False})],
            'Give "normalize": true in the JSON',
        ),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2), result.output
        assert text in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_text_encoder_is_written_beside_the_page(packed, encoder_row, pictures, tmp_path):
    try:
        find_runtime()
    except ValueError as error:
        pytest.skip(str(error))
    site, vocabulary = tmp_path / "site", tmp_path / "bank.safetensors"
    bank = OpenClipSpec(**encoder_row).build().encode(("red lamp", "stray cat"))
    write_text_bank(vocabulary, bank)
    more = ("--vocabulary", vocabulary, "--text-encoder", json.dumps(encoder_row), "--image-size", "64x96")
    result = run(packed, "--form", "web", "--out", site, "--images", pictures, "--num-images", 1, *more)
    assert result.exit_code == 0, result.output
    assert "8-bit weights, cosine with the float encoder at least 0.99" in result.output
    assert json.loads((site / "model.json").read_text())["text_encoder"]["name"] == bank.encoder
    assert sorted(path.name for path in (site / "text_encoder").iterdir()) == ["NOTICE.txt", "merges.txt", "model.onnx"]
    assert "text_encoder" not in (site / "offline.js").read_text().split("FILES = ")[1].split("\n")[0]


def test_a_packed_file_becomes_a_proved_graph(packed, pictures, tmp_path):
    out = tmp_path / "m.onnx"
    result = run(packed, "--out", out, "--images", pictures, "--num-images", 2)
    assert result.exit_code == 0, result.output
    first, purpose, second, *_, last = result.output.splitlines()
    assert purpose.startswith("made for onnxruntime and OpenVINO: ")
    assert first.startswith(f"wrote {out}: form fast, ")
    assert second.startswith("onnxruntime, 2 images: ")
    assert "(0 of them no ties); 50 convolutions run on integers, 7 in floating point" in second
    assert last.startswith("self-test: ")
    facts = facts_of(out)
    assert facts["text_bank"]["prompts"] == ["red lamp", "stray cat"]
    assert facts["extra"] == {"image_size_px": 64, "stage": "test"}


def test_a_student_trained_without_pre_activations_runs_on_integers_too(packed, checkpoint, pictures, tmp_path):
    out, plain = tmp_path / "m.onnx", tmp_path / "plain"
    plain.mkdir()
    result = run(pack(plain), "--out", out, "--num-images", 2, "--pre-activation-images", pictures)
    assert result.exit_code == 0, result.output
    assert "form fast" in result.output
    assert "(0 of them no ties); 50 convolutions run on integers, 7 in floating point" in result.output
    assert facts_of(out)["extra"]["pre_activation"] == "calibrated after training"
    for model, text in ((packed, "trained with 8-bit pre-activations"), (checkpoint, "is in full precision")):
        result = run(model, "--out", tmp_path / "other.onnx", "--pre-activation-images", pictures)
        assert result.exit_code == 1
        assert text in result.output


def test_a_checkpoint_is_compared_on_drawn_scenes_and_static_shapes(checkpoint, tmp_path):
    out = tmp_path / "m.onnx"
    result = run(
        checkpoint, "--out", out, "--image-size", 96, "--static", "--nms", 7, "--num-images", 2, "--no-embeddings"
    )
    assert result.exit_code == 0, result.output
    assert "form fp32" in result.output
    assert "drawn scenes; give --images FOLDER" in result.output
    assert "without prompts: compared with random embeddings" in result.output
    model = onnx.load(out)
    assert [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 96, 96]
    names = [entry.name for entry in model.graph.output]
    assert "detection_boxes" in names
    assert "embeddings" not in names


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--out", "m.bin"], "the name must end in .onnx; got m.bin"),
        (["--form", "openvino"], "leaves out pre-activation quantizers"),
        (["--form", "opnvino"], "'opnvino' is not one of"),
        (["--image-size", "100"], "multiple of 32 px; got 100. Use 128"),
        (["--vocabulary", "gone.safetensors"], "No text bank gone.safetensors"),
        (["--images", "gone"], "does not exist"),
        (["--nms", "0"], "0 is not in the range"),
        (["--threshold", "1"], "is not in the range"),
    ],
)
def test_wishes_that_do_not_fit_are_refused_and_nothing_is_written(packed, tmp_path, arguments, text):
    given = arguments if "--out" in arguments else [*arguments, "--out", tmp_path / "m.onnx"]
    result = run(packed, *given)
    assert result.exit_code != 0
    assert text in result.output
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_models_are_refused(packed, checkpoint, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.safetensors").write_bytes(packed.read_bytes()[:5000])
    (tmp_path / "graph.onnx").write_bytes(b"")
    (tmp_path / "m.pt").write_bytes(b"")
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    out = ["--out", tmp_path / "out.onnx"]
    for arguments, text in (
        ([tmp_path / "gone.safetensors", *out], "No model file"),
        ([tmp_path / "cut.safetensors", *out], "not a whole safetensors file"),
        ([tmp_path / "foreign.safetensors", *out], "A checkpoint names its detector"),
        ([tmp_path / "graph.onnx", *out], "is an ONNX graph already"),
        ([tmp_path / "m.pt", *out], "Models are .safetensors"),
        ([packed, *out, "--images", tmp_path / "empty"], "No images in folder"),
        ([checkpoint, *out, "--fixed-vocabulary"], "fixed vocabulary needs its text bank"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert text in result.output, result.output
    assert not (tmp_path / "out.onnx").exists()
