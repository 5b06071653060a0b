"""A model in a process of its own: how it is started, spoken to, and ended."""
