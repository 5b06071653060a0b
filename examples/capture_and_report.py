"""A finding as a picture and as a number: `inference-gateway serve capture_and_report:model`.

The picture is a DICOM secondary capture of the plane that shows most of it, the number is in a structured
report. Needs the extra `highdicom`.
"""

from math import prod

from pydicom.sr.codedict import codes

from inference_gateway.study import Algorithm, Finding, Measurement, make_overlay, make_report, read_study

ALGORITHM = Algorithm("Lung threshold", "1.0")


def segment(values):
    """Your model: return which voxels are lung."""
    return (values > -950) & (values < -700)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume("CT")
    lungs = segment(volume.values)
    most = int(lungs.sum(axis=(1, 2)).argmax())
    capture = make_overlay(volume.images[most], lungs[most], "lung", caption="for research")
    size = Measurement(codes.SCT.Volume, float(lungs.sum()) * prod(volume.spacing) / 1000, "mL")
    report = make_report(volume, [Finding("Lung", [size], codes.SCT.Lung)], algorithm=ALGORITHM)
    parts = [{"binary_type": "dicom_secondary_capture"}, {"binary_type": "dicom_structured_report"}]
    return {"protocol_version": "1.0", "parts": parts}, [capture, report]
