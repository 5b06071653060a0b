"""uvicorn with hardened defaults, and several of it behind one port."""
