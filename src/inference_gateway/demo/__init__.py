"""The gateway at work: a sample study, embedded models, and one command that shows what they find.

Needs the extra `demo`. `python -m inference_gateway.demo` runs it.
"""
