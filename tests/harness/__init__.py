"""What tests drive a real gateway with.

- `server`: an ASGI app in a real uvicorn, in a thread of the test process, on a socket of 127.0.0.1.
- `process`: `inference-gateway serve` in a process of its own, with its log.
- `asgi`: the same app without a server, where a test decides how the body is cut into messages.
- `raw`: an HTTP/1.1 client on a bare socket that sends exactly the bytes it is given.
- `wire`: multipart messages made and read back without the product's code.
- `log`: every log record of the process, as text.
- `model`: a model that keeps what it was called with.
- `old_gateway`: the Flask gateway that this project replaces, framing and accidents, on a socket.

Nothing here sleeps or polls, and every wait has a limit.
"""
