"""A model on a study, in this process, as a gateway would have it: for the tests of a model's author.

```python
from inference_gateway.testing import run_model

def test_my_model():
    result = run_model(model, "study/")
    assert result.elements[0].array().any()
```

As pytest's fixture `run_model` it is there without an import, and sets each model up once for a module of
tests; the fixture `sample_study` is a small made study. Needs the extra `author`. What it needs is loaded
when it is first asked for: pytest loads `plugin` for everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_gateway.extras import on_demand as _on_demand

if TYPE_CHECKING:
    from inference_gateway.testing.run import RunModel, run_model, set_up

__all__ = ["RunModel", "run_model", "set_up"]

__getattr__ = _on_demand(__name__, dict.fromkeys(__all__, "run"))
