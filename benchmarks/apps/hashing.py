"""The least that a gateway must do: the same uvicorn with an application that hashes the body, on the event
loop and as it comes, and throws it away. It parses nothing, stores nothing and calls nothing.
"""

import hashlib
import json

from counting import ARRAY  # noqa: F401 - with numpy, as every other server
from floor import Receive, Scope, Send, answer_lifespan, send_whole


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    if scope["path"] == "/ping":
        await send_whole(send, b"up")
        return
    digest, received, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        body = message.get("body", b"")
        digest.update(body)
        received += len(body)
        more = message.get("more_body", False)
    await send_whole(send, json.dumps({"received": received, "hash": digest.hexdigest()}).encode())
