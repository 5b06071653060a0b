"""What the answer says: its elements against `parts`, palettes, label maps, DICOM objects, findings.

The rules are those by which the gateway itself looks at what a model returns (`results`); all of a mask is
looked at here. Nothing of the answer is quoted: it is about a patient.
"""

from __future__ import annotations

import warnings
from typing import Any

from inference_gateway.check.verdict import Check, Failed, Skipped, Subject, check
from inference_gateway.payload.contract import DICOM_TYPES, MASK_TYPES


@check("element-count", "return exactly one element for each entry of 'parts'")
def element_count(subject: Subject) -> str:
    """Count the elements and the entries of `parts`."""
    json = subject.json()
    entries = json.get("parts", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Failed("'parts' is not a list of objects")
    elements = len(subject.whole_message().elements)
    if len(entries) != elements:
        raise Failed(f"'parts' has {len(entries)} entries, and {elements} elements came")
    return (
        "no elements, and none announced" if not elements else f"one element for each of {elements} entries"
    )


@check("binary-types", "give each entry of 'parts' a binary_type; name your own ones by --binary-type")
def binary_types(subject: Subject) -> str:
    """See that each entry names a known kind."""
    entries = subject.entries()
    if not entries:
        raise Skipped("'parts' has no entries")
    for index, entry in enumerate(entries):
        binary_type = entry.get("binary_type") if isinstance(entry, dict) else None
        if not isinstance(binary_type, str):
            raise Failed(f"parts[{index}] has no binary_type")
        if binary_type not in subject.binary_types:
            raise Failed(f"parts[{index}] has a binary_type that is not known")
    return "each entry of 'parts' has a known binary_type"


@check(
    "element-size", "send one byte for each pixel of binary_data_shape: timepoints × depth × height × width"
)
def element_size(subject: Subject) -> str:
    """Compare each mask's size with its shape."""
    subject.elements(*MASK_TYPES)
    return _kept(subject, "element-size", "each mask has as many bytes as its shape has pixels")


@check("references", "name images and series by the UIDs that they were sent with")
def references(subject: Subject) -> str:
    """Look for every UID among those that were sent, and for masks that do not lie over what they name."""
    from inference_gateway.results.study_rules import names_in

    named = any(True for _ in names_in(subject.json()))
    told = _kept(subject, "references", "all images and series that the answer names were sent, in that size")
    if not named:
        raise Skipped("the answer names no image or series")
    return told


@check("thresholds", "give probability_threshold as a number from 0.0 to 1.0")
def thresholds(subject: Subject) -> str:
    """See that thresholds are numbers from 0 to 1."""
    told = [entry for _, entry, _ in subject.elements("probability_mask") if "probability_threshold" in entry]
    if not told:
        raise Skipped("no probability mask has a threshold")
    return _kept(subject, "thresholds", "each threshold is from 0.0 to 1.0")


@check(
    "palettes",
    "define each palette under 'palettes': anchorpoints with thresholds that rise from 0.0 to 1.0, each with "
    "a color of red, green, blue and alpha from 0 to 255; or lut, 1024 numbers from 0 to 255",
)
def palettes(subject: Subject) -> str:
    """See that palettes are well-formed, and that those exist that are named."""
    defined = subject.json().get("palettes", {})
    told = _kept(subject, "palettes", f"{len(defined)} palettes are complete")
    if not defined and not any(isinstance(entry, dict) and "palette" in entry for entry in subject.entries()):
        raise Skipped("the answer has no palettes")
    return told


@check(
    "label-maps", "give each numeric_label_mask a label_map with a name for every number but 0 in its mask"
)
def label_maps(subject: Subject) -> str:
    """Look for the name of each number in a mask."""
    found = subject.elements("numeric_label_mask")
    return _kept(subject, "label-maps", f"every number in {len(found)} label masks has its name")


@check("values", "write 255 for 1.0 into a probability_mask, and two values into a boolean_mask")
def values(subject: Subject) -> str:
    """See that the values of masks are those that their type has a meaning for."""
    found = subject.elements("probability_mask", "boolean_mask")
    return _kept(subject, "values", f"{len(found)} masks have values that their type means")


@check("dicom", "send whole DICOM files (PS3.10), with file meta information and their UIDs")
def dicom(subject: Subject) -> str:
    """Read each DICOM element."""
    found = subject.elements(*DICOM_TYPES)
    told = _kept(subject, "dicom", f"{len(found)} DICOM objects can be read")
    try:
        import pydicom
    except ImportError:
        raise Skipped("reading DICOM needs pydicom: pip install 'dicom-inference-gateway[dicom]'") from None
    for index, _, piece in found:
        piece.body.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote values
                dataset = pydicom.dcmread(piece.body)
                if "PixelData" in dataset and not dataset.file_meta.TransferSyntaxUID.is_compressed:
                    _ = dataset.pixel_array
        except Exception as error:  # pydicom raises nearly everything
            raise Failed(f"element {index} cannot be read as DICOM ({type(error).__name__})") from None
    return told


@check(
    "findings",
    "give a box top_left and bottom_right, a measurement start and end, each as [column, row], and its image;"
    ' ends of coordinates_type "world" are three numbers, patient coordinates in mm',
)
def findings(subject: Subject) -> str:
    """See that boxes, measurements and labels are complete."""
    json = subject.json()
    told = _kept(subject, "findings", "version, boxes and measurements are as they must be")
    lines = json.get("linear_measurements_2d", [])
    unplaced = sum(line.get("coordinates_type") == "world" and len(line["start"]) == 2 for line in lines)
    if unplaced:
        told += (
            f"; {unplaced} of linear_measurements_2d cannot be placed: "
            "world coordinates are three numbers, in mm, not two"
        )
    return told


def _kept(subject: Subject, rule: str, told: str) -> str:
    """Return `told` where a rule is kept. Raises `Failed` with the first fault where it is not."""
    faults: list[Any] = [fault for fault in subject.faults() if fault.rule == rule]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise Failed(f"{faults[0]}{more}")
    return told


CHECKS: tuple[Check, ...] = (
    *(element_count, binary_types, element_size, references, thresholds, palettes, label_maps, values, dicom),
    findings,
)
