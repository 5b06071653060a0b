"""Faults, load and hostile clients: what holds in every test is said in `rest.py`."""
