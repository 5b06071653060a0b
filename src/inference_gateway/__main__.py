"""`python -m inference_gateway`: the command `inference-gateway`, by the interpreter of one's choice."""

from inference_gateway.cli import main

main()
