"""The phantom as requests bring it: files in memory, without names."""

import io
from collections.abc import Iterable

from pydicom import Dataset

from inference_gateway.demo.phantom import Phantom, make_phantom
from tests.dicom.objects import as_file

# Half the resolution of the sample study in each direction: quick, and the lesion is still round.
PHANTOM = make_phantom(slices=32, rows=128, columns=128)


def files(source: Phantom | Iterable[Dataset] = PHANTOM) -> list[io.BytesIO]:
    return [as_file(dataset) for dataset in (source.datasets() if isinstance(source, Phantom) else source)]
