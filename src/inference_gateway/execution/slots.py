"""The slots that one route has, or that several share: so many calls at once, each on a device."""

from __future__ import annotations

from collections.abc import Sequence

from inference_gateway.execution.line import Line


class Slots:
    """So many calls at once, whatever the number of routes that use them.

    `count`: how many, where no devices are given. `devices`: a slot for each of their names, such as
    `["cuda:0", "cuda:1"]`; a model in a process of its own sees this one device only. Routes that are given
    the same slots stand in one line: two models on one device never run at once. `name`: of the threads.

    ```python
    gpu = Slots(devices=["cuda:0"])
    app.add_inference_route("/liver", "liver:Model", isolation="process", slots=gpu)
    app.add_inference_route("/lung", "lung:Model", isolation="process", slots=gpu)
    ```
    """

    def __init__(self, count: int = 1, *, devices: Sequence[str] = (), name: str = "") -> None:
        self.devices: list[str | None] = list(devices) or [None] * count
        if not self.devices:
            raise ValueError("slots are at least one")
        self.line = Line(f"model {name or ' '.join(devices)}".strip(), len(self.devices), devices)
