"""`inference_gateway.integrations.flask_names` under the name that applications import."""

from inference_gateway.integrations.flask_names import Gateway, make_response

__all__ = ["Gateway", "make_response"]
