"""A detector without emitters is traced: its graph computes its integers and takes other prompts and sizes."""

import numpy as np
import pytest
import torch

from crqat_pipeline.export.onnx import OnnxSpec
from crqat_pipeline.export.onnx.runtime import open_model
from crqat_pipeline.export.onnx.supported import check_declared, check_supported, supported_forms
from crqat_pipeline.export.verified_onnx import write_verified_onnx
from crqat_pipeline.quantization import QuantSpec, calibrate, prepare, set_quantized
from tests.support.toy_detector import ToyDetector, toy_inputs

pytest.importorskip("onnxruntime")


def student(**options):
    torch.manual_seed(0)
    detector = ToyDetector().eval()
    prepare(detector, QuantSpec.parse("4-4-8", kernel="eager", **options))
    calibrate(detector, [toy_inputs()], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    return detector


@pytest.mark.parametrize("options", [{}, {"pre_activation_bits": 8}], ids=["plain", "pre_activation"])
def test_a_student_is_written_and_proved_and_prompts_stay_an_input(tmp_path, options):
    detector = student(**options)
    batches = [toy_inputs()[0], torch.rand(1, 3, 32, 20)]
    written = write_verified_onnx(tmp_path / "m.onnx", detector, batches)
    assert written.file.form == "spec"
    assert {"neck.product.guide_operand", "head.hidden.input_quantizer"} <= {
        one.quantizer for one in written.parity.rows
    }
    assert written.parity.num_unexplained == 0
    model = (tmp_path / "m.onnx").read_bytes()
    for num_prompts, seed in ((3, 1), (11, 2)):
        images, text = toy_inputs(1, num_prompts, seed)
        names = ["scores", "boxes", "embeddings"]
        found = open_model(model, names)({"images": images.numpy(), "text_embeddings": text.numpy()}).outputs
        with torch.no_grad():
            output = detector(images, text)
        np.testing.assert_allclose(found["scores"], output.class_logits_BNK.sigmoid(), atol=1e-5)
        np.testing.assert_allclose(found["boxes"], output.boxes_BN4, atol=1e-3)
        np.testing.assert_allclose(found["embeddings"], output.region_embeddings_BND, atol=1e-4)


def test_weights_are_stored_as_four_bit_integers(tmp_path):
    onnx = pytest.importorskip("onnx")
    write_verified_onnx(tmp_path / "m.onnx", student(), [toy_inputs()[0]])
    stored = {one.name: one.data_type for one in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert stored["backbone.conv.weight_codes"] == stored["neck.guide.weight_codes"] == onnx.TensorProto.INT4


def test_fp32_with_fixed_sizes(tmp_path):
    images = toy_inputs(2)[0]
    spec = OnnxSpec(form="fp32", batch_size=2, image_size_px=(16, 24))
    written = write_verified_onnx(tmp_path / "m.onnx", student(), [images], spec)
    assert written.parity.rows == ()
    assert written.parity.largest_score_difference < 1e-5


def test_forms_that_tracing_does_not_give_are_refused_before_work():
    with pytest.raises(ValueError, match=r"in the forms spec and fp32; got 'fast' for ToyDetector.*emitters"):
        check_supported(ToyDetector(), OnnxSpec(form="fast"))


class Branching(ToyDetector):
    def forward(self, images_B3HW, text_embeddings, *, return_features=False):
        assert images_B3HW.sum().item() > 0
        if images_B3HW.mean() > 0.5:
            return super().forward(images_B3HW, text_embeddings)
        return super().forward(images_B3HW, -text_embeddings)


class Unwritten(ToyDetector):
    def forward(self, images_B3HW, text_embeddings, *, return_features=False):
        return super().forward(images_B3HW, torch.special.digamma(text_embeddings))


class Tied(ToyDetector):
    def forward(self, images_B3HW, text_embeddings, *, return_features=False):
        factor = 1.0 if images_B3HW.shape[0] == 2 else 0.5
        return super().forward(images_B3HW * factor, text_embeddings)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Branching, r"traced by torch\.export; Branching cannot be: .*without branches"),
        (Unwritten, r"Unwritten uses aten\.digamma\.default, which nobody writes.*int4_export\.onnx to null"),
    ],
)
def test_what_cannot_be_traced_or_written_supports_no_form_and_says_why(kind, message):
    with pytest.raises(ValueError, match=message):
        check_supported(kind(), OnnxSpec())
    assert supported_forms(kind()) == ()


def test_a_size_that_the_code_ties_is_named_before_there_are_weights():
    with torch.device("meta"):
        detector = Tied()
    with pytest.raises(ValueError, match=r"Tied ties batch to one number.*Set batch_size"):
        check_supported(detector, OnnxSpec())
    check_supported(detector, OnnxSpec(batch_size=2))


class Windowed(ToyDetector):
    fixed_in_graphs = ("image_size_px",)


def test_sizes_that_a_detector_says_it_needs_are_asked_for_without_a_trace():
    with pytest.raises(ValueError, match=r"Windowed is made for one value of image_size_px; got no image_size_px"):
        check_declared(Windowed(), OnnxSpec())
    check_declared(Windowed(), OnnxSpec(image_size_px=(16, 16)))
    assert supported_forms(Windowed()) == ("spec", "fp32")


class Levels(ToyDetector):
    """The same layers on two maps, the second pooled."""

    def __init__(self):
        super().__init__()
        self.head.hidden = torch.nn.Conv2d(12, 12, 3, padding=1, bias=False)
        self.head.hidden_norm = torch.nn.Identity()
        self.head.embed, self.head.box = torch.nn.Conv2d(12, 6, 1), torch.nn.Conv2d(12, 4, 1)

    def backbone_features(self, images_B3HW):
        map_BCHW = self.backbone(images_B3HW)
        pooled_BCHW = torch.nn.functional.max_pool2d(map_BCHW, 3, 1, 1)
        return {"c": self.head.hidden(self.head.hidden(map_BCHW)) + self.head.hidden(pooled_BCHW)}


def test_layers_that_are_called_several_times_are_compared_call_by_call_and_stored_once(tmp_path):
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(0)
    detector = Levels().eval()
    prepare(detector, QuantSpec.parse("4-4-8", kernel="eager"))
    calibrate(detector, [toy_inputs()], list(detector.parts))
    set_quantized(detector, list(detector.parts))
    images = toy_inputs()[0]
    sizes = (images.shape[2], images.shape[3])
    written = write_verified_onnx(tmp_path / "m.onnx", detector, [images], OnnxSpec(image_size_px=sizes))
    compared = {row.quantizer: row.num_codes for row in written.parity.rows}
    assert written.parity.num_unexplained == 0
    calls = [key for key in compared if key.startswith("head.hidden.input_quantizer")]
    assert calls == ["head.hidden.input_quantizer", *(f"head.hidden.input_quantizer#{call}" for call in (1, 2, 3))]
    graph = onnx.load(tmp_path / "m.onnx").graph
    stored = [one.name for one in graph.initializer if one.name.startswith("head.hidden.weight_codes")]
    assert len(stored) == 1
    assert "Range" not in {node.op_type for node in graph.node}, "places of cells depend on no input"


def test_a_batch_that_the_code_ties_is_to_be_fixed(tmp_path):
    with pytest.raises(ValueError, match=r"Tied ties batch to one number.*Set batch_size"):
        write_verified_onnx(tmp_path / "m.onnx", Tied(), [toy_inputs()[0]])
    fixed = write_verified_onnx(tmp_path / "m.onnx", Tied().eval(), [toy_inputs()[0]], OnnxSpec(batch_size=2))
    assert fixed.file.form == "fp32"
