"""The test tool: send a study to a model and see what it does to it.

Needs the extra `infer`. `inference-gateway infer` runs it.
"""
