"""aiohttp.web, as its documentation does it: each part is read from the MultipartReader in pieces of the size
that `read_chunk` has by itself, into a temporary file that stays in memory up to 1 MiB.

`--tuned`: larger pieces and uvloop, which the documentation does not speak of. Both make it faster.
"""

import argparse
import asyncio
import tempfile
from typing import Any

import uvloop
from aiohttp import web
from counting import model

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--tuned", action="store_true")
arguments = parser.parse_args()
PIECE = {"size": 1 << 18} if arguments.tuned else {}


async def ping(request: web.Request) -> web.Response:
    return web.Response(text="up")


async def infer(request: web.Request) -> web.StreamResponse:
    reader = await request.multipart()
    json_input = await (await reader.next()).json()
    inputs = []
    while (part := await reader.next()) is not None:
        inputs.append(await spooled(part))
    answer, elements = await asyncio.to_thread(model, json_input, inputs, "")
    for file in inputs:
        file.close()
    if not elements:
        return web.json_response(answer)
    if hasattr(elements[0], "tobytes"):
        return web.Response(body=elements[0].tobytes())
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in elements[0]:
        await response.write(piece)
    return response


async def spooled(part: Any) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - the handler closes it
    while piece := await part.read_chunk(**PIECE):
        file.write(piece)
    file.seek(0)
    return file


application = web.Application(client_max_size=1 << 40)
application.add_routes([web.get("/ping", ping), web.post("/", infer)])
web.run_app(
    application,
    host="127.0.0.1",
    port=arguments.port,
    access_log=None,
    print=None,
    loop=uvloop.new_event_loop() if arguments.tuned else None,
)
