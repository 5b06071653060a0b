"""The constants of the wire contract that several rooms speak of."""

from __future__ import annotations

from collections.abc import Mapping

PONG = "inference-service is up and accepting connections"

FAULTS_HEADER = b"x-answer-faults"
"""Of an answer that was sent although it contradicts its contract: how many faults it has."""

MASK_TYPES = ("probability_mask", "heatmap", "numeric_label_mask", "boolean_mask")
DICOM_TYPES = ("dicom", "dicom_secondary_capture", "dicom_structured_report", "dicom_gsps")
BINARY_TYPES: Mapping[str, str] = {
    **dict.fromkeys(MASK_TYPES, "application/binary"),
    **dict.fromkeys(DICOM_TYPES, "application/dicom"),
}

AXES = ("timepoints", "depth", "height", "width")
"""Of a `binary_data_shape`, in the order of an array."""
