"""Two models on two routes that never use the device at once: `inference-gateway serve several_models:app`.

`inference-gateway infer --route /lesion path/to/study` asks one of them.
"""

import boxes
import lesion_3d

from inference_gateway import Gateway, Slots

device = Slots(1)  # one call at a time, whichever route it comes from

app = Gateway()
app.add_inference_route("/boxes", boxes.model, slots=device)
app.add_inference_route("/lesion", lesion_3d.model, slots=device, timeout=120)
app.add_healthcheck_route(lambda: "READY")
