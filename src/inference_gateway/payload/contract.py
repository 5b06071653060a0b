"""The constants of the wire contract that several rooms speak of."""

from __future__ import annotations

from collections.abc import Mapping

PONG = "inference-service is up and accepting connections"

BINARY_TYPES: Mapping[str, str] = {
    "probability_mask": "application/binary",
    "heatmap": "application/binary",
    "numeric_label_mask": "application/binary",
    "boolean_mask": "application/binary",
    "dicom": "application/dicom",
    "dicom_secondary_capture": "application/dicom",
    "dicom_structured_report": "application/dicom",
    "dicom_gsps": "application/dicom",
}
