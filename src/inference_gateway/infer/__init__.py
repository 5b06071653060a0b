"""The test tool: send a study to a model and see what it does to it.

Needs the extra `infer`. `inference-gateway infer` runs it.
"""

from importlib import import_module as _import_module

from inference_gateway.extras import extra as _extra

with _extra("infer", needs=__name__):
    for _name in ("httpx", "PIL", "pydicom", "rich", "tenacity"):
        _import_module(_name)
