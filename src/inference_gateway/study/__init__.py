"""The study of a request in one line: its series as volumes, and masks and findings back as DICOM or NIfTI.

```python
volume = read_study(inputs).volume()
```

Needs the extra `dicom`; `nifti` needs the extra of that name, `segmentation` and `report` need `highdicom`.
"""

from inference_gateway.extras import extra as _extra

with _extra("dicom", needs=__name__):
    from inference_gateway.study.errors import StudyError
    from inference_gateway.study.images import Image
    from inference_gateway.study.parts import mask_part
    from inference_gateway.study.reading import SetApart, Study, read_study
    from inference_gateway.study.series import Series
    from inference_gateway.study.volume import Volume

__all__ = ["Image", "Series", "SetApart", "Study", "StudyError", "Volume", "mask_part", "read_study"]
