"""The caller's side (extra `client`): a study out, masks back, in three lines.

The same codec as the gateway's, the other way round: parts are read from disk as they are sent, and the
answer rests in a spool, so that memory stays constant. An answer is given out only when it is whole: the
hashes part has come, both hashes are right, and the message is closed.

`clients` has the two clients, thin shells around httpx. What they share does no I/O on a connection: `inputs`
and `upload` make the request, `answer` and `result` read what comes, `exchange` holds one request and its
answer together, `retry` says what may be tried again.
"""

from inference_gateway.extras import extra as _extra

with _extra("client", needs=__name__):
    from inference_gateway.client.clients import AsyncInferenceClient, InferenceClient
    from inference_gateway.client.inputs import Input
    from inference_gateway.client.result import InferenceResult, ResultElement
    from inference_gateway.client.retry import RetryPolicy
    from inference_gateway.client.upload import OnProgress, Progress

__all__ = [
    "AsyncInferenceClient",
    "InferenceClient",
    "InferenceResult",
    "Input",
    "OnProgress",
    "Progress",
    "ResultElement",
    "RetryPolicy",
]
