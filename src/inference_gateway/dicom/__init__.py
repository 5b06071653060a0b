"""DICOM images on the model's side of the gateway: series, pixels, volumes and overlays.

Needs the extra `dicom`. Nothing is imported here: take what you need from `series`, `pixels`, `volume`
and `overlay`.
"""
