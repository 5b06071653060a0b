"""Odd and malformed requests, and what the gateway answers to each.

One module for each section of the table holds its rows as data; `sections` puts them together, `test_rows`
sends each to a real server and `test_cuts` sends it byte by byte. `http` and `test_connections` have what is
odd below the multipart message. The table is a sample: each row stands for its kind.
"""
