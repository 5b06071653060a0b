"""The gateway beside other servers, on one machine, in one run: `python -m benchmarks --help`."""
