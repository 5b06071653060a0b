"""Whether a running gateway keeps the wire contract: `inference-gateway check URL [STUDY]`.

One study goes through the model once; everything else is asked with requests that no model ever sees. The
checks know the gateway only by its socket, so any gateway can be checked, also one that is not this package.
"""
