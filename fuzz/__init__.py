"""Fuzz targets: functions of bytes that raise `AssertionError` where their invariant does not hold."""
