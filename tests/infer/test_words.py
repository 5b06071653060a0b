"""Numbers in words."""

from inference_gateway.infer.words import counted, listed


def test_one_is_no_plural() -> None:
    assert [counted(number, "element") for number in (0, 1, 2)] == ["0 elements", "1 element", "2 elements"]
    assert counted(1, "box", "boxes") == "1 box"
    assert counted(2, "series", "series") == "2 series"


def test_what_there_is_none_of_is_left_out() -> None:
    assert listed([(0, "a", None), (1, "b", None), (2, "c", "ces")]) == ["1 b", "2 ces"]
