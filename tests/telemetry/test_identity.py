"""Which ids of a caller are taken, and which are made."""

import re

import pytest

from inference_gateway.telemetry.identity import Identity, TraceContext, identify, new_request_id, new_span_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def identified(*fields: tuple[str, str]) -> Identity:
    return identify([(name.encode(), value.encode("latin-1")) for name, value in fields])


def test_one_new_id_where_nothing_is_given() -> None:
    request_id, trace, parent = identified(("host", "h"))
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert (trace.trace_id, trace.sampled, parent) == (request_id, False, None)
    assert re.fullmatch("[0-9a-f]{16}", trace.span_id)


@pytest.mark.parametrize(
    "given",
    [
        "4f1c2a9e-07a3-4b5e-9d43-0b6a3f5d8c11",
        "4BF92F3577B34DA6A3CE929D0E0E4736",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "a",
        "a.b_c-1",
        "x" * 64,
    ],
)
def test_a_request_id_is_taken(given: str) -> None:
    request_id, trace, parent = identified(("x-request-id", given))
    assert (request_id, parent) == (given, None)
    assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 65,
        "a b",
        "a\tb",
        "a\nb",
        "a\n",
        "a%s",
        'a"b',
        "a/b",
        "a;b",
        "a=b",
        "a{b}",
        "a\x1b[31m",
        "Müller",
        "1.2.840.10008.5.1.4.1.1.2",  # a DICOM UID
        "20261126",
        "0012-345",
    ],
)
def test_what_is_no_request_id_is_replaced(given: str) -> None:
    request_id = identified(("x-request-id", given)).request_id
    assert re.fullmatch("[0-9a-f]{32}", request_id)


def test_two_request_ids_are_none() -> None:
    request_id = identified(("x-request-id", "first"), ("x-request-id", "first")).request_id
    assert re.fullmatch("[0-9a-f]{32}", request_id)


@pytest.mark.parametrize(
    ("given", "sampled"),
    [
        (PARENT, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # level 2 of the recommendation has a second flag
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_the_callers_trace_is_taken(given: str, sampled: bool) -> None:
    request_id, trace, parent = identified(("traceparent", given))
    assert parent == TraceContext(TRACE, SPAN, sampled)
    assert trace.trace_id == TRACE
    assert trace.span_id != SPAN
    assert trace.sampled is False  # until somebody records it
    assert request_id != TRACE  # a trace may have several requests


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f" {PARENT}",
        f"{PARENT}\n",
    ],
)
def test_what_is_no_trace_is_replaced(given: str) -> None:
    request_id, trace, parent = identified(("traceparent", given), ("tracestate", "a=1"))
    assert parent is None
    assert trace.trace_id == request_id
    assert trace.state == ""


def test_two_traces_are_none() -> None:
    assert identified(("traceparent", PARENT), ("traceparent", PARENT)).parent is None


def state(*values: str) -> str:
    parent = identified(("traceparent", PARENT), *(("tracestate", value) for value in values)).parent
    assert parent is not None
    return parent.state


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["a=1", "b=2"], "a=1,b=2"),
        (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (["a=1, ,\tb=2 ,"], "a=1,b=2"),
        (["1t@vendor=x y;z"], "1t@vendor=x y;z"),
        (["a_-*/=!~"], "a_-*/=!~"),
        (["a=" + "x" * 256], "a=" + "x" * 256),
        (
            [",".join(f"k{number}=v" for number in range(32))],
            ",".join(f"k{number}=v" for number in range(32)),
        ),
    ],
)
def test_the_state_of_a_trace_goes_with_it(given: list[str], taken: str) -> None:
    assert state(*given) == taken


@pytest.mark.parametrize(
    "given",
    [
        "a",
        "a=",
        "=1",
        "A=1",
        "1a=1",
        "a=b=c",
        "a=ü",
        "a=\x07",
        "a=1,b",
        "a=1,a=2",
        "a=" + "x" * 257,
        "k" * 257 + "=1",
        ",".join(f"k{number}=v" for number in range(33)),
        ",".join(f"k{number}={'v' * 100}" for number in range(5)),
    ],
)
def test_a_state_that_is_not_well_formed_is_left_behind(given: str) -> None:
    assert state(given) == ""


def test_a_trace_as_a_header() -> None:
    assert TraceContext(TRACE, SPAN, True).traceparent == PARENT
    assert TraceContext(TRACE, SPAN).traceparent == f"00-{TRACE}-{SPAN}-00"


def test_new_ids_are_never_the_same() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000
    assert len({new_span_id() for _ in range(1000)}) == 1000
