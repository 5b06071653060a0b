"""From what a model returned, or from an error, to the bytes that go out."""
