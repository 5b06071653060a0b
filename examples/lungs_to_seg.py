"""Lungs as a DICOM segmentation: `inference-gateway serve lungs_to_seg:model`.

Needs the extra `highdicom`.
"""

from pydicom.sr.codedict import codes

from inference_gateway.study import Algorithm, Segment, make_segmentation, read_study


def segment(values):
    """Your model: return which voxels are lung."""
    return (values > -950) & (values < -700)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume("CT")
    lung = Segment("Lung", codes.SCT.AnatomicalStructure, codes.SCT.Lung)
    threshold = Algorithm("Lung threshold", "1.0")
    segmentation = make_segmentation(volume, segment(volume.values), lung, algorithm=threshold)
    return {"protocol_version": "1.0", "parts": [{"binary_type": "dicom"}]}, [segmentation]
