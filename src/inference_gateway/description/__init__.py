"""The description of the API: an OpenAPI document, and a page of it for people.

`document` makes what every gateway has in common, of the models of the contract and the tree of errors; it
lies in the package as a file, so that a gateway starts without the models. `served` puts a gateway's own
routes into it, and `page` shows it.
"""
