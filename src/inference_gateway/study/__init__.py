"""The study of a request in one line: its series as volumes, and masks and findings back as DICOM or NIfTI.

```python
volume = read_study(inputs).volume()
```

Needs the extra `dicom`. `make_segmentation`, `make_report` and `Finding` need `highdicom`, and are loaded
when they are first asked for; what writes and reads NIfTI needs `nifti`.
"""

from typing import TYPE_CHECKING

from inference_gateway.extras import extra as _extra
from inference_gateway.extras import on_demand as _on_demand

with _extra("dicom", needs=__name__):
    from inference_gateway.study.errors import StudyError
    from inference_gateway.study.identity import Algorithm, Measurement, Segment
    from inference_gateway.study.images import Image
    from inference_gateway.study.overlay import make_overlay
    from inference_gateway.study.parts import mask_part
    from inference_gateway.study.reading import SetApart, Study, read_study
    from inference_gateway.study.series import Series
    from inference_gateway.study.volume import Volume

if TYPE_CHECKING:
    from inference_gateway.study.report import Finding as Finding
    from inference_gateway.study.report import make_report as make_report
    from inference_gateway.study.segmentation import make_segmentation as make_segmentation

__all__ = [
    "Algorithm",
    "Image",
    "Measurement",
    "Segment",
    "Series",
    "SetApart",
    "Study",
    "StudyError",
    "Volume",
    "make_overlay",
    "mask_part",
    "read_study",
]

# These need one more package, which not every Python has.
_HOMES = {"Finding": "report", "make_report": "report", "make_segmentation": "segmentation"}

__getattr__ = _on_demand(__name__, _HOMES)
