"""The JSON of an answer and of a request, field by field.

The one home of the contract: the JSON Schema, the tables of docs/answers.md, what the gateway checks before
it sends, and what `check` and `infer` look for come from here. A field's description says what to write
there: it is the end of the sentence "write ...". Further keys are allowed everywhere, and pass unchanged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from inference_gateway.payload.contract import AXES, BINARY_TYPES

_LUT = 1024  # 256 colours of red, green, blue and alpha
_FEWEST_POINTS = 2


def wrong(came: str, write: str | None = None) -> PydanticCustomError:
    """Return the error of a validator here. `write`: the field's own description, where it is not given."""
    return PydanticCustomError("contract", "{came}", {"came": came, "write": write})


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True, defer_build=False)


Length = Annotated[int, Field(gt=0, lt=1 << 31)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Byte = Annotated[int, Field(ge=0, le=255)]
FrameNumber = Annotated[
    int,
    Field(
        ge=0, description="the number of a frame of that image, from 1 (0, or no frame_number, is the first)"
    ),
]
Label = Annotated[str, Field(description="text: what it is called")]


class Shape(_Fields):
    """`binary_data_shape`: the shape of a mask, whose bytes are uint8 in C order."""

    timepoints: Length | None = Field(
        None, description="the number of timepoints, a whole number over 0, where there are several"
    )
    depth: Length | None = Field(
        None, description="the number of planes of one timepoint, a whole number over 0, for a volume"
    )
    height: Length = Field(description="the rows of a plane, a whole number over 0")
    width: Length = Field(description="the columns of a plane, a whole number over 0")

    @field_validator("timepoints", "depth")
    @classmethod
    def _given(cls, value: int | None) -> int:
        if value is None:
            raise wrong("null")
        return value

    @property
    def axes(self) -> tuple[int, ...]:
        """Return the lengths that are told, in the order (timepoints, depth, height, width)."""
        return tuple(length for axis in AXES if (length := getattr(self, axis)) is not None)


class ImageReference(_Fields):
    """`dicom_image`: one image, or one frame of it."""

    SOPInstanceUID: str = Field(description="the SOPInstanceUID of an image of the request, text")
    frame_number: FrameNumber = 1


class _Part(_Fields):
    label: Label = ""
    SeriesInstanceUID: str | None = Field(
        None,
        description="the SeriesInstanceUID of a series of the request, text: a volume lies over its planes",
    )
    SOPInstanceUID: str | None = Field(
        None, description="the SOPInstanceUID of an image of the request, text, as in dicom_image"
    )
    frame_number: FrameNumber = 1


class _Mask(_Part):
    binary_data_shape: Shape = Field(
        description='the shape of the mask, such as {"depth": 12, "height": 512, "width": 512}'
    )
    dicom_image: ImageReference | None = Field(
        None, description='the image that a mask of one plane lies over, such as {"SOPInstanceUID": "1.2.3"}'
    )

    @model_validator(mode="after")
    def _lies_somewhere(self) -> _Mask:
        if self.SeriesInstanceUID is None and self.dicom_image is None and self.SOPInstanceUID is None:
            raise wrong(
                "it names neither a series nor an image",
                "SeriesInstanceUID for a volume, or dicom_image with the SOPInstanceUID for one plane",
            )
        return self


class ProbabilityMask(_Mask):
    """A probability for each pixel: 0 is 0.0, 255 is 1.0."""

    binary_type: Literal["probability_mask"]
    probability_threshold: float = Field(
        0.5, ge=0, le=1, description="a number from 0.0 to 1.0: what is over it is shown"
    )


class BooleanMask(_Mask):
    """Yes or no for each pixel: 0 is no, any one other value, such as 255, is yes."""

    binary_type: Literal["boolean_mask"]


class NumericLabelMask(_Mask):
    """A number for each pixel: 0 is nothing, the others are regions with a name each."""

    binary_type: Literal["numeric_label_mask"]
    label_map: dict[str, str] = Field(
        description='a name for each number from 1 to 255 of the mask, such as {"1": "liver", "2": "spleen"}'
    )

    @field_validator("label_map")
    @classmethod
    def _numbers_with_names(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise wrong("an empty object")
        for key, name in value.items():
            if not (key.isascii() and key.isdigit() and int(key[:4]) <= 255 and len(key) <= 3):
                raise wrong("it has a key that is no number from 0 to 255")
            if key != str(int(key)):  # who looks a number up finds no name
                raise wrong("it has a number that begins with a zero")
            if not name.strip():
                raise wrong("it has a number without a name")
        return value


class Heatmap(_Mask):
    """A value for each pixel that is shown as a colour: 0 is 0.0 of the palette, 255 is 1.0."""

    binary_type: Literal["heatmap"]
    palette: str | None = Field(
        None, description="the name of one of 'palettes'; without it, from transparent through red to yellow"
    )


class DicomObject(_Part):
    """A whole DICOM file (PS3.10) as an element: an image, a segmentation, or any other object."""

    binary_type: Literal["dicom", "dicom_secondary_capture", "dicom_structured_report", "dicom_gsps"]


class OwnPart(_Fields):
    """An element of a type that the application has registered (`Gateway(binary_types=...)`)."""

    binary_type: str = Field(
        description="one of the names of the binary types, text",
        json_schema_extra={"not": {"enum": list(BINARY_TYPES)}},  # or a mask would be this as well
    )


def _type_of(value: Any) -> str:
    told = value.get("binary_type") if isinstance(value, dict) else getattr(value, "binary_type", None)
    return str(told) if isinstance(told, str) and told in BINARY_TYPES else "own"


Part = Annotated[
    Annotated[ProbabilityMask, Tag("probability_mask")]
    | Annotated[BooleanMask, Tag("boolean_mask")]
    | Annotated[NumericLabelMask, Tag("numeric_label_mask")]
    | Annotated[Heatmap, Tag("heatmap")]
    | Annotated[DicomObject, Tag("dicom")]
    | Annotated[DicomObject, Tag("dicom_secondary_capture")]
    | Annotated[DicomObject, Tag("dicom_structured_report")]
    | Annotated[DicomObject, Tag("dicom_gsps")]
    | Annotated[OwnPart, Tag("own")],
    Discriminator(_type_of),
]


class AnchorPoint(_Fields):
    """One point of a palette; colours between two points are mixed."""

    threshold: float = Field(ge=0, le=1, description="a number from 0.0 to 1.0: where the colour stands")
    color: list[Byte] = Field(
        min_length=4,
        max_length=4,
        description="red, green, blue and alpha, each a whole number from 0 to 255",
    )


class AnchorPoints(_Fields):
    """A palette of points."""

    type: Literal["anchorpoints"] = Field(description='"anchorpoints" or "lut"')
    data: list[AnchorPoint] = Field(
        description="two or more anchor points with thresholds that rise from 0.0 to 1.0, or 1024 numbers "
        "of a lut"
    )

    @field_validator("data")
    @classmethod
    def _rise(cls, points: list[AnchorPoint]) -> list[AnchorPoint]:
        at = [point.threshold for point in points]
        if len(at) < _FEWEST_POINTS:
            raise wrong(f"{len(at)} anchor points")
        if at[0] != 0 or at[-1] != 1:
            raise wrong("thresholds that do not go from 0.0 to 1.0")
        if at != sorted(at):
            raise wrong("thresholds that do not rise")
        return points


class Lut(_Fields):
    """A palette of 256 colours, one after the other: red, green, blue, alpha."""

    type: Literal["lut"] = Field(description='"anchorpoints" or "lut"')
    data: list[Byte] = Field(
        min_length=_LUT,
        max_length=_LUT,
        description="1024 whole numbers from 0 to 255: red, green, blue and alpha of 256 colours",
    )


Palette = Annotated[AnchorPoints | Lut, Field(discriminator="type")]


class BoundingBox(_Fields):
    """A box on one image; both corners belong to it, and pixels are counted by their centres from 0."""

    label: Label = ""
    SOPInstanceUID: str = Field(description="the SOPInstanceUID of an image of the request, text")
    frame_number: FrameNumber = 1
    top_left: Point = Field(description="two numbers, [column, row] of the first pixel of the box, from 0")
    bottom_right: Point = Field(description="two numbers, [column, row] of the last pixel of the box, from 0")

    @model_validator(mode="after")
    def _right_way_round(self) -> BoundingBox:
        if self.top_left[0] > self.bottom_right[0] or self.top_left[1] > self.bottom_right[1]:
            raise wrong(
                "its corners are the wrong way round",
                "the smaller column and row into top_left, the greater into bottom_right",
            )
        return self


class LinearMeasurement(_Fields):
    """A line on one image, with its length."""

    label: Label = ""
    SOPInstanceUID: str = Field(description="the SOPInstanceUID of an image of the request, text")
    frame_number: FrameNumber = 1
    coordinates_type: Literal["pixel", "world"] | None = Field(
        None,
        description='"pixel" ([column, row] from 0) or "world" (patient coordinates in mm); pixel without it',
    )
    start: list[float] = Field(
        description="two numbers, [column, row]; of world coordinates three, [x, y, z] in mm"
    )
    end: list[float] = Field(description="as many numbers as start has, of the other end")

    @model_validator(mode="after")
    def _same_numbers(self) -> LinearMeasurement:
        # The old SDK showed world coordinates of two numbers, too; they cannot be placed.
        allowed = (2, 3) if self.coordinates_type == "world" else (2,)
        if not (len(self.start) == len(self.end) and len(self.start) in allowed):
            number = (
                "three numbers each, [x, y, z] in mm"
                if len(allowed) > 1
                else "two numbers each, [column, row]"
            )
            raise wrong(f"{len(self.start)} and {len(self.end)} numbers for start and end", number)
        return self


class AnswerJson(_Fields):
    """The JSON of an answer."""

    protocol_version: Literal["1.0"] = Field(description='"1.0", as text')
    parts: list[Part] = Field([], description="a list with one object for each element, in their order")
    palettes: dict[str, Palette] = Field({}, description="an object: palettes by the names that heatmaps use")
    bounding_boxes_2d: list[BoundingBox] = Field([], description="a list of boxes")
    linear_measurements_2d: list[LinearMeasurement] = Field([], description="a list of measurements")
    series_ml_json: dict[str, Any] = Field(
        {}, description="an object: what is said of each series, by its SeriesInstanceUID"
    )
    study_ml_json: dict[str, Any] = Field({}, description="an object: what is said of the whole study")
    dicomConformance: Any = Field(
        [], description="a list of sentences: what of the study is not as the model wants it"
    )


class RequestJson(_Fields):
    """The JSON of a request: what the test tool sends. A model may ask for any further key."""

    studyUID: str | None = Field(None, description="the StudyInstanceUID of the first image, text")
    inference_command: str | None = Field(
        None, description="text: what the model is to do, of several things"
    )
    studyPath: str | None = Field(
        None, description="text: where the model finds the study, of which no image is sent then"
    )
    depth: int | None = Field(None, description="the number of images, a whole number")
    height: int | None = Field(None, description="the rows of the first image, a whole number")
    width: int | None = Field(None, description="the columns of the first image, a whole number")
