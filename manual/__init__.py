"""The documents as a site: pages that are made of the code, and what `mkdocs.yml` needs besides it."""
