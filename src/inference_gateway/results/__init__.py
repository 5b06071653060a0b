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

from typing import TYPE_CHECKING

from inference_gateway.extras import on_demand as _on_demand
from inference_gateway.results.answer import Answer
from inference_gateway.results.pixels import from_bool, from_probability
from inference_gateway.results.sources import ImageLike, PlaneLike, SeriesLike, described

if TYPE_CHECKING:
    from inference_gateway.results.fields import AnswerJson, RequestJson
    from inference_gateway.results.schema import json_schema

__all__ = [
    "Answer",
    "AnswerJson",
    "ImageLike",
    "PlaneLike",
    "RequestJson",
    "SeriesLike",
    "described",
    "from_bool",
    "from_probability",
    "json_schema",
]

__getattr__ = _on_demand(__name__, {"AnswerJson": "fields", "RequestJson": "fields", "json_schema": "schema"})
