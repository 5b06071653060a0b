"""Put a medical-imaging model behind HTTP: a streaming multipart/related gateway.

```python
from inference_gateway import Gateway

def model(json_input, inputs, input_hash):
    ...
    return {"protocol_version": "1.0", "parts": [...]}, [mask]

app = Gateway()
app.add_inference_route("/", model)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_gateway.extras import on_demand as _on_demand

if TYPE_CHECKING:
    from inference_gateway.app.gateway import Gateway
    from inference_gateway.errors import Refused
    from inference_gateway.execution.current_request import CurrentRequest, Request, current_request
    from inference_gateway.execution.model_info import ModelInfo
    from inference_gateway.execution.slots import Slots
    from inference_gateway.payload.part import Part
    from inference_gateway.settings import Settings
    from inference_gateway.telemetry.tagged_logger import TaggedLogger

__all__ = [
    "CurrentRequest",
    "Gateway",
    "ModelInfo",
    "Part",
    "Refused",
    "Request",
    "Settings",
    "Slots",
    "TaggedLogger",
    "current_request",
]

# Loaded when they are first asked for: `inference_gateway.multipart` alone needs no framework.
_HOMES = {
    "CurrentRequest": "execution.current_request",
    "Gateway": "app.gateway",
    "ModelInfo": "execution.model_info",
    "Part": "payload.part",
    "Refused": "errors",
    "Request": "execution.current_request",
    "Settings": "settings",
    "Slots": "execution.slots",
    "TaggedLogger": "telemetry.tagged_logger",
    "current_request": "execution.current_request",
}
__getattr__ = _on_demand(__name__, _HOMES)
