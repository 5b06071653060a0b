"""The ASGI application, and one request's way through the rooms."""
