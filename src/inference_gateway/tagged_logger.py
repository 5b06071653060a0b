"""`inference_gateway.telemetry.tagged_logger` under the name that applications import."""

from inference_gateway.telemetry.tagged_logger import TaggedLogger

__all__ = ["TaggedLogger"]
