"""Models in Ray actors, on the nodes of a cluster (extra `ray`).

```python
from inference_gateway import Gateway
from inference_gateway.integrations.ray import RayModel

app = Gateway()
app.add_inference_route("/", RayModel("my_model:Model", actors=(1, 8), num_gpus=1))
```

See docs/scaling.md.
"""

from inference_gateway.execution.actors.model import RayModel

__all__ = ["RayModel"]
