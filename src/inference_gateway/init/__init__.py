"""The beginning of a model: the commands `inference-gateway init` and `sample`.

`templates/` has a folder for each kind of model, with the files that `init` copies, as they are.
"""
