"""The ASGI extensions that `inference-gateway serve` offers to the application, by their names in a scope."""

ABORT = "inference_gateway.abort"
"""`{"abort": function()}`: cuts the connection, so that an answer that has begun does not look whole."""

UNSENT = "inference_gateway.unsent"
"""`{"unsent": function() -> int}`: bytes of the answer that the client has not taken yet."""
