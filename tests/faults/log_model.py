"""Models that write lines of their own, hang and crash, for the tests of the log."""

import asyncio
import ctypes
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from inference_gateway import Gateway, TaggedLogger

log = logging.getLogger("the.model")
tagged = TaggedLogger(log)
tagged.add_tags({"organ": "liver"})


def writing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    log.info("%d%% of it", 50)
    tagged.info("found")

    def blocks() -> Iterator[bytes]:
        log.info("a block")
        yield b"block"

    return {"parts": [{"binary_type": "heatmap"}]}, [blocks()]


async def async_writing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    await asyncio.sleep(0)
    log.info("in a coroutine")
    return {}


def hanging(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    where_it_hangs("SECRET")


def where_it_hangs(value: str) -> None:
    threading.Event().wait(30)


async def async_hanging(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    await where_it_waits("SECRET")


async def where_it_waits(value: str) -> None:
    await asyncio.Event().wait()


def crashing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    where_it_crashes("SECRET")


def where_it_crashes(value: str) -> None:
    ctypes.string_at(0)


app = Gateway()
app.add_inference_route("/", writing)
app.add_inference_route("/async", async_writing)
app.add_inference_route("/hanging", hanging, timeout=0.3)
app.add_inference_route("/async_hanging", async_hanging, timeout=0.3)
app.add_inference_route("/crashing", crashing)
