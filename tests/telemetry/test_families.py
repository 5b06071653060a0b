"""The names of metrics: Prometheus' conventions, and a reason for every error."""

import re

import pytest

from inference_gateway.telemetry.families import (
    BATCH_SIZE,
    FAILURES,
    FAMILIES,
    REFUSALS,
    REQUEST_SECONDS,
    Family,
    histogram,
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_conventions(family: Family) -> None:
    """https://prometheus.io/docs/practices/naming/"""
    assert re.fullmatch(r"gateway(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") is (family.kind == "counter")
    assert bool(family.bounds) is (family.kind == "histogram")
    assert not re.search(r"_(count|sum|bucket|milliseconds|ms|kb|mib)$", family.name)
    assert list(family.labels) == sorted(family.labels)
    assert "le" not in family.labels
    assert "\n" not in family.meaning
    assert "|" not in family.meaning


def test_each_name_is_there_once() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_a_reason_says_one_thing() -> None:
    assert not REFUSALS.keys() & FAILURES.keys()
    for reason, when in {**REFUSALS, **FAILURES}.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)
        assert "|" not in when


def test_phases_are_told_from_a_millisecond_to_half_an_hour() -> None:
    bounds = REQUEST_SECONDS.bounds
    assert (bounds[0], bounds[-1]) == (0.001, 1800)
    assert list(bounds) == sorted(set(bounds))


def test_a_histogram_of_what_is_known() -> None:
    cells = histogram(BATCH_SIZE, {1: 2, 2: 1, 129: 3})
    assert len(cells) == BATCH_SIZE.cells
    assert cells[:3] == [2 + 2 + 3 * 129, 2, 1]
    assert cells[-1] == 3
