"""DICOM objects of an answer → what of them is drawn, and where, or shown as text; else why not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from inference_gateway.dicom import attributes, presentation, report_text, segments
from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.dicom.pixels import PixelDataError, read_frames
from inference_gateway.dicom.series import NO_PIXELS, Instance, Study, frames_of, read_study
from inference_gateway.dicom.shapes import Mask
from inference_gateway.dicom.sources import opened, read_dataset
from inference_gateway.infer.drawings import Drawings
from inference_gateway.infer.groups import Drawing, Group
from inference_gateway.infer.masks import StoredMask
from inference_gateway.infer.words import counted


class Objects:
    """The DICOM objects of an answer, by the numbers of their elements.

    `groups` are frames of images, with nothing drawn over them; `texts` are (title, lines) of reports;
    `names` are those of all files.
    """

    def __init__(self, drawings: Drawings, limits: Limits) -> None:
        self.groups: list[Group] = []
        self.texts: list[tuple[str, list[str]]] = []
        self.names: list[str] = []
        self._drawings, self._limits = drawings, limits

    def add(self, number: int, path: Path) -> None:
        """Take the object in a file."""
        self.names.append(path.name)
        with self._drawings.noting(f"element {number}"):
            try:
                self._add(number, path)
            except _NotDrawn as reason:
                self._drawings.note(f"element {number}", str(reason))

    def _add(self, number: int, path: Path) -> None:
        header = self._header(path)
        sop_class = attributes.text(header, "SOPClassUID")
        if sop_class.startswith(report_text.SOP_CLASSES):
            self.texts.append((f"Element {number}", report_text.lines_of(header) or ["an empty report"]))
        elif sop_class in presentation.SOP_CLASSES:
            self._present(number, header)
        elif sop_class in segments.SOP_CLASSES:
            self._lay(number, header, self._read(path, sop_class).instances[0])
        else:
            study = self._read(path, sop_class)
            for stack in (stack for series in study.series for stack in series.stacks):
                frames = sorted(stack.frames, key=lambda frame: frame.number)
                drawings = [Drawing(frame, f"{path.stem}-frame-{frame.number}") for frame in frames]
                self.groups.append(Group(f"Element {number}", "", stack, drawings))

    def _header(self, path: Path) -> Dataset:
        if not path.stat().st_size:
            raise _NotDrawn("it is empty")
        try:
            with opened(path, self._limits) as file:
                return read_dataset(file, header_only=True)
        except InvalidDicomError:
            raise _NotDrawn("it is no DICOM file") from None
        except LimitError as error:
            raise _NotDrawn(str(error)) from None
        except Exception as error:  # pydicom's parser raises whatever it trips over
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise _NotDrawn("it is a damaged DICOM file") from None

    def _read(self, path: Path, sop_class: str) -> Study:
        study = read_study([path], limits=self._limits)
        if study.skipped:
            reason = study.skipped[0].reason
            raise _NotDrawn(_without_pixels(sop_class) if reason == NO_PIXELS else reason)
        return study

    def _present(self, number: int, header: Dataset) -> None:
        """Show on the images of the study what a presentation state says."""
        state = presentation.PresentationState(header)
        applied = zoomed = 0
        for image in state.images:
            for drawing in self._drawings.of_image(*image):
                rows, columns = drawing.frame.instance.rows, drawing.frame.instance.columns
                shown = state.shown_on((image[0], drawing.frame.number), rows, columns)
                drawing.lines += tuple(shown.lines)
                drawing.view = shown.view
                applied += 1
                zoomed += not shown.whole
        if not applied:
            raise _NotDrawn("no image of the study is among those that it presents")
        for what in (*state.left_out, *(["its displayed area"] if zoomed else [])):
            self._drawings.hint(f"element {number} is shown, but {what} is not applied")

    def _lay(self, number: int, header: Dataset, instance: Instance) -> None:
        """Lay the frames of a segmentation over the images that they were made from, or that lie there."""
        segmentation = segments.Segmentation(header)
        stored = _stored(instance)
        unplaced = 0
        for at, frame in enumerate(map(segmentation.frame, range(1, instance.number_of_frames + 1))):
            drawing = self._place(frame, instance)
            if drawing is None:
                unplaced += 1
            else:
                drawing.layers += (partial(_layer, segmentation, frame, stored, at),)
        if unplaced == instance.number_of_frames:
            raise _NotDrawn("none of its frames lies over an image of the study of its size")
        if unplaced:
            self._drawings.hint(
                f"element {number} has {counted(unplaced, 'frame')} over no image of the study"
            )

    def _place(self, frame: segments.SegmentFrame, instance: Instance) -> Drawing | None:
        size = instance.rows, instance.columns
        for drawing in self._drawings.of_image(*frame.image) if frame.image else []:
            if (drawing.frame.instance.rows, drawing.frame.instance.columns) == size:
                return drawing
        return None if frame.position is None else self._drawings.at_place(*size, frame.position)


class _NotDrawn(Exception):
    """An object that is not drawn; the message is the reason, and quotes nothing of it."""


def _without_pixels(sop_class: str) -> str:
    """Say what kind of object it is, in words of the standard."""
    name = UID(sop_class).name
    return "it has no pixels" if name == sop_class else f"it is of the class {name} and has no pixels"


def _stored(instance: Instance) -> StoredMask:
    """Write the frames of a segmentation beside it, so that each can be read by itself."""
    path = Path(str(instance.source)).with_suffix(".npy")
    frames = iter(_frames(instance))
    try:
        first = next(frames)
        with path.open("wb") as file:
            shape = (instance.number_of_frames, *first.shape)
            np.lib.format.write_array_header_1_0(
                file, {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
            )
            offset = file.tell()
            file.write(first.tobytes())
            for frame in frames:
                file.write(frame.tobytes())
    except PixelDataError as error:
        path.unlink(missing_ok=True)
        raise _NotDrawn(str(error)) from None
    return StoredMask(str(path), shape, first.dtype, offset)


def _frames(instance: Instance) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    for pixels in read_frames(frames_of(instance)):
        if pixels.is_color:
            raise PixelDataError("a segmentation in colour is not drawn here")
        yield np.ascontiguousarray(pixels.stored)


def _layer(
    segmentation: segments.Segmentation, frame: segments.SegmentFrame, stored: StoredMask, at: int
) -> Mask:
    return segmentation.mask(frame, stored.plane(at))
