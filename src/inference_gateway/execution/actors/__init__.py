"""A model in Ray actors, on one machine or on many."""
