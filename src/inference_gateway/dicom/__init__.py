"""DICOM images: series, pixels, volumes, overlays and captures.

Needs the extra `dicom`. Nothing is imported here: take what you need from `series`, `pixels`, `volume`,
`overlay` and `capture`.
"""
