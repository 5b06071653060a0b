"""A model on a real GPU, in a process of its own: what it does is asked for in the request's JSON."""

import os
import time
from typing import Any

import torch  # type: ignore[import-not-found]  # only where there is a GPU

from inference_gateway import current_request

MIB = 1 << 20


class Model:
    """Has 256 MiB of weights on the device."""

    def setup(self) -> None:
        self.weights = torch.ones(64 * MIB, device="cuda")  # of float32

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return getattr(self, json_input["do"])()

    def told(self) -> Any:
        """Where it is, and that its weights are there."""
        return {
            "pid": os.getpid(),
            "device": current_request().device,
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "count": torch.cuda.device_count(),
            "sum": float(self.weights.sum()),
        }

    def clocks(self) -> Any:
        """When it began and ended to compute, by a clock that all processes share."""
        begin = time.monotonic()
        square = torch.rand(2048, 2048, device="cuda")
        for _ in range(20):
            square = square @ square / 2048
        torch.cuda.synchronize()
        return {"begin": begin, "end": time.monotonic()}

    def spends(self) -> Any:
        """Takes all memory of the device, and more."""
        taken = []
        while True:
            taken.append(torch.empty(1024 * MIB, dtype=torch.uint8, device="cuda"))

    def kernel(self) -> Any:
        """One kernel that runs for hours, while Python waits for it in native code."""
        torch.cuda._sleep(10**13)
        torch.cuda.synchronize()

    def kernels(self) -> Any:
        """Kernels without end."""
        square = torch.rand(4096, 4096, device="cuda")
        while True:
            square = square @ square / 4096
            torch.cuda.synchronize()

    def breaks(self) -> Any:
        """An assertion that fails on the device: every later call of CUDA fails in this process."""
        torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")]
        torch.cuda.synchronize()
