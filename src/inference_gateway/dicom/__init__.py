"""DICOM images: series, stacks, pixels, volumes, overlays and captures.

Needs the extra `dicom`; `codecs` brings decoders for more transfer syntaxes. Nothing is imported here: take
what you need from `series`, `pixels`, `volume`, `overlay` and `capture`.
"""

from inference_gateway.extras import extra as _extra

with _extra("dicom", needs=__name__):
    import pydicom as _pydicom  # noqa: F401 - every module here needs it
