"""Who found what: the codes and names that DICOM objects of a model carry.

A code is pydicom's `Code(value, scheme, meaning)`; `pydicom.sr.codedict.codes` has those of the standard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

TISSUE = Code("85756007", "SCT", "Tissue")
LESION = Code("52988006", "SCT", "Lesion")
_AI = Code("123110", "DCM", "Artificial Intelligence")


@dataclass(frozen=True)
class Algorithm:
    """The model that made an object (PS3.3 10.16); `serial` tells devices of one kind apart."""

    name: str
    version: str
    family: Code = _AI
    manufacturer: str = "inference-gateway"
    serial: str = "1"


@dataclass(frozen=True)
class Segment:
    """What a segment is: a name, and its property's category and type (PS3.3 C.8.20.4; CID 7150 and 7151)."""

    label: str
    category: Code = TISSUE
    type: Code = TISSUE
    tracking_uid: str = field(default_factory=lambda: str(generate_uid(prefix=None)))


@dataclass(frozen=True)
class Measurement:
    """A number that was measured: what it is, its value, and its unit in UCUM, such as "mm" or "mL".

    A name that is no code is written as a private one.
    """

    name: Code | str
    value: float
    unit: str
