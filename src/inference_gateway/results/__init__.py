"""What a model returns: a builder for it, and the contract that it keeps (docs/answers.md).

```python
from inference_gateway.results import Answer, from_bool

def model(json_input, inputs, input_hash):
    ...
    answer = Answer()
    answer.mask(from_bool(volume > 300), series, label="bone")
    return answer
```

The models of the JSON, `AnswerJson` and `RequestJson`, are loaded when they are first asked for: they need
pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from inference_gateway.results.answer import Answer
from inference_gateway.results.pixels import from_bool, from_probability
from inference_gateway.results.sources import ImageLike, SeriesLike, described

if TYPE_CHECKING:
    from inference_gateway.results.fields import AnswerJson, RequestJson
    from inference_gateway.results.schema import json_schema

__all__ = [
    "Answer",
    "AnswerJson",
    "ImageLike",
    "RequestJson",
    "SeriesLike",
    "described",
    "from_bool",
    "from_probability",
    "json_schema",
]

_HOMES = {"AnswerJson": "fields", "RequestJson": "fields", "json_schema": "schema"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
