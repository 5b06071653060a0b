"""The tagged logger: `{"a": 1} - message`."""

import json
import logging
from collections.abc import Iterator

import pytest

from inference_gateway import TaggedLogger


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def plain(records: Records) -> Iterator[logging.Logger]:
    """A logger of its own, outside the tree of loggers."""
    logger = logging.Logger("plain", logging.INFO)
    logger.addHandler(records)
    yield logger
    logger.removeHandler(records)


@pytest.fixture
def logger(plain: logging.Logger) -> TaggedLogger:
    return TaggedLogger(plain)


def test_the_form_is_that_of_the_old_one(logger: TaggedLogger, records: Records) -> None:
    logger.add_tags({"b": 2, "a": "x"})
    logger.info("message")
    assert records.messages == ['{"a": "x", "b": 2} - message']


def test_without_tags(logger: TaggedLogger, records: Records) -> None:
    logger.info("message")
    assert records.messages == ["{} - message"]


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("info", logging.INFO),
        ("warning", logging.WARNING),
        ("error", logging.ERROR),
        ("critical", logging.CRITICAL),
    ],
)
def test_levels(logger: TaggedLogger, records: Records, method: str, level: int) -> None:
    getattr(logger, method)("%s of %s", 1, 2)
    logger.log(level, "again")
    assert [record.levelno for record in records.records] == [level, level]
    assert records.messages == ["{} - 1 of 2", "{} - again"]


def test_what_is_below_the_level_is_not_even_made(logger: TaggedLogger, records: Records) -> None:
    logger.add_tags({"a": object()})
    logger.debug("message")
    assert records.messages == []


def test_an_exception_has_its_traceback(logger: TaggedLogger, records: Records) -> None:
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("it failed")
    [record] = records.records
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert record.getMessage() == "{} - it failed"


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("100%", (), "100%"),
        ("%s", (), "%s"),
        ("%d%%", (50,), "50%"),
        ("%s and %s", ("%s", "%d"), "%s and %d"),
        ("%(a)s", ({"a": "%"},), "%"),
    ],
)
def test_percent_signs(
    logger: TaggedLogger, records: Records, message: str, args: tuple[object, ...], shown: str
) -> None:
    logger.add_tags({"%s": "100%", "d%d": "%(a)s"})
    logger.info(message, *args)
    assert records.messages == [json.dumps({"%s": "100%", "d%d": "%(a)s"}) + f" - {shown}"]


def test_a_message_need_not_be_text(logger: TaggedLogger, records: Records) -> None:
    logger.info(ValueError("x"))
    assert records.messages == ["{} - x"]


def test_tags_are_added_and_replaced(logger: TaggedLogger, records: Records) -> None:
    logger.add_tags({"a": 1, "b": 2})
    logger.add_tags({"b": 3, "c": None})
    logger.info("message")
    assert records.messages == ['{"a": 1, "b": 3, "c": null} - message']


def test_nested_loggers_begin_with_the_tags_and_go_their_own_ways(
    plain: logging.Logger, logger: TaggedLogger, records: Records
) -> None:
    logger.add_tags({"a": 1})
    copy = TaggedLogger(logger)
    child = logger.tag({"b": 2})
    grandchild = child.tag({"a": 3})
    logger.add_tags({"later": 1})
    copy.add_tags({"own": 1})
    for each in (logger, copy, child, grandchild):
        assert each.logger is plain
        each.info("message")
    assert records.messages == [
        '{"a": 1, "later": 1} - message',
        '{"a": 1, "own": 1} - message',
        '{"a": 1, "b": 2} - message',
        '{"a": 3, "b": 2} - message',
    ]


def test_line_breaks_in_tags_make_no_second_line(logger: TaggedLogger, records: Records) -> None:
    logger.add_tags({"a": "x\nERROR forged"})
    logger.info("message")
    assert "\n" not in records.messages[0]


def test_extras_are_passed_on(logger: TaggedLogger, records: Records) -> None:
    logger.info("message", extra={"study": 7})
    assert records.records[0].__dict__["study"] == 7
