"""Every example does what it says, over the wire, and the check of a gateway finds no fault in it."""

import io
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from inference_gateway.demo.phantom import Phantom, write_phantom
from tests.examples.serving import EXAMPLES, asked, gateway_of, loaded, needs, values_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Phantom]:
    folder = tmp_path_factory.mktemp("examples") / "study"
    return folder, write_phantom(folder, slices=12, rows=64, columns=64)


Study = tuple[Path, Phantom]

LABELLED = {"timepoints": 1, "depth": 12, "height": 64, "width": 64}


def names() -> set[str]:
    return {path.stem for path in EXAMPLES.glob("*.py")}


def test_each_example_is_short_has_its_line_in_the_list_and_its_test() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    tested = Path(__file__).read_text()
    assert names()
    for name in names():
        text = (EXAMPLES / f"{name}.py").read_text()
        assert len(text.splitlines()) < 60, name
        assert f"[{name}.py]({name}.py)" in listed
        assert f'"{name}"' in tested
    assert set(re.findall(r"\]\((\w+)\.py\)", listed)) == names()


@pytest.mark.parametrize(
    "name",
    [
        "classifier_2d",
        pytest.param("lungs_to_seg", marks=needs("highdicom")),
        pytest.param("nifti_in_out", marks=needs("nibabel")),
    ],
)
def test_beside_the_model_itself_there_are_at_most_eight_lines(name: str) -> None:
    """`segment` or `classify`, and what it imports, are the model's."""
    code = (EXAMPLES / f"{name}.py").read_text()
    lines = ("def model(" + code.partition("def model(")[2]).splitlines()
    lines += re.findall("^from (?:inference_gateway|pydicom).*", code, re.MULTILINE)
    assert len([line for line in lines if line.strip()]) <= 8


def test_boxes(study: Study) -> None:
    with loaded("boxes") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    boxes = answered.json["bounding_boxes_2d"]
    assert len(boxes) == 12
    assert all(box["top_left"][0] <= box["bottom_right"][0] for box in boxes)


def test_lesion_3d(study: Study) -> None:
    with loaded("lesion_3d") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    (part,) = answered.json["parts"]
    assert part["binary_data_shape"] == LABELLED
    lesion = study[1].lesion
    (mask,) = answered.arrays
    assert mask.reshape(lesion.shape)[lesion].mean() > 180


def test_classifier_2d(study: Study) -> None:
    with loaded("classifier_2d") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    ((uid, label),) = answered.json["series_ml_json"].items()
    assert uid == study[1].uid("series")
    assert label["images"] == 12
    assert 0 < label["bone"] < 1


def test_heatmap(study: Study) -> None:
    with loaded("heatmap") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    assert answered.json["parts"][0]["palette"] in answered.json["palettes"]
    assert answered.arrays[0].max() == 255


@needs("highdicom")
def test_lungs_to_seg(study: Study) -> None:
    import highdicom

    with loaded("lungs_to_seg") as example:
        answered = asked(gateway_of(example.model), study[0])
        lungs = example.segment(study[1].stored - 1024.0)
    assert answered.faults == []
    (segmentation,) = answered.elements
    found = highdicom.seg.segread(io.BytesIO(segmentation)).get_volume(segment_numbers=[1])
    assert int(found.array.sum()) == int(lungs.sum()) > 1000


@needs("highdicom")
def test_capture_and_report(study: Study) -> None:
    with loaded("capture_and_report") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    capture, report = (dcmread(io.BytesIO(one)) for one in answered.elements)
    assert (capture.PatientID, report.PatientID) == ("PHANTOM", "PHANTOM")
    assert capture.pixel_array.shape[2] == 3
    assert report.Modality == "SR"


@needs("nibabel")
def test_nifti_in_out(study: Study) -> None:
    with loaded("nifti_in_out") as example:
        answered = asked(gateway_of(example.model), study[0])
    assert answered.faults == []
    (mask,) = answered.arrays
    bone = study[1].stored - 1024 > 300
    assert np.array_equal(mask.reshape(bone.shape), bone * 255)


def test_several_models(study: Study) -> None:
    with loaded("several_models") as example:
        assert asked(example.app, study[0], "/boxes").json["bounding_boxes_2d"]
    with loaded("several_models") as example:
        assert asked(example.app, study[0], "/lesion").arrays


def test_cancellation(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    with loaded("cancellation") as example:
        answered = asked(gateway_of(example.model), study[0])
        assert answered.faults == []
        assert values_of(answered.arrays[0]) == {0, 255}

        looked_at: list[Any] = []
        gone = threading.Event()

        class Gone:
            """A request whose client leaves after three planes."""

            def raise_if_cancelled(self) -> None:
                if len(looked_at) == 3:
                    gone.set()
                    raise RuntimeError("nobody waits")

        def segment(plane: Any) -> Any:
            looked_at.append(plane)
            return plane

        monkeypatch.setattr(example, "segment", segment)
        monkeypatch.setattr(example, "current_request", Gone)
        with pytest.raises(RuntimeError, match="nobody waits"):
            example.model({}, sorted(study[0].iterdir()), "")
        assert gone.is_set()
        assert len(looked_at) == 3
