"""Tests; the tree mirrors the source tree, and `harness` is what they drive a real gateway with."""

import pytest

# What these assert is explained as in a test.
pytest.register_assert_rewrite("tests.harness", "tests.odd_inputs.bench")
