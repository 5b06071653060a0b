"""The gateway at work: a sample study, embedded models, and one command that shows what they find.

Needs the extra `demo`. `python -m inference_gateway.demo` runs it.
"""

from inference_gateway.extras import extra as _extra

with _extra("demo", needs=__name__):
    import pydicom as _pydicom  # noqa: F401 - every module here but the regions needs it
