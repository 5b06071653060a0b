"""Tests of the wire format; together they cover every branch of it."""
