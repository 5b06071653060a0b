"""Who may come in, and how a body becomes a request."""
