"""The callback: its threads, its turns, what it may know of its request."""
