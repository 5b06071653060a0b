"""Log lines: text and JSON, and what they leave out."""

import contextvars
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from inference_gateway.telemetry.context import working_for
from inference_gateway.telemetry.identity import TraceContext
from inference_gateway.telemetry.logs import JsonFormatter, configure_logging
from inference_gateway.telemetry.tagged_logger import TaggedLogger, TaggedMessage


@pytest.fixture
def _log_of_its_own() -> Iterator[None]:
    """Puts back what `configure_logging` changes in the process."""
    root = logging.getLogger()
    loggers = [
        root,
        *(
            logging.getLogger(name)
            for name in ("pydicom", "pydicom.valuerep", "highdicom.base", "uvicorn.access")
        ),
    ]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    with warnings.catch_warnings():
        yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


def written(capsys: pytest.CaptureFixture[str]) -> Any:
    """What has been printed, once the lines in the queue have been written."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return capsys.readouterr()


@pytest.mark.usefixtures("_log_of_its_own")
class TestLogging:
    def configure(self, log_format: Literal["text", "json"] = "text", level: str = "INFO") -> None:
        configure_logging(log_format, level)

    def test_text_goes_to_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure()
        logging.getLogger("inference_gateway.test").info("%d of %d", 1, 2)
        output = written(capsys)
        assert output.out == ""
        assert output.err.endswith(" INFO inference_gateway.test: 1 of 2\n")

    def test_json_is_one_object_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure("json")
        logger = logging.getLogger("inference_gateway.test")
        logger.info("two\nlines of %s", "ä")
        try:
            raise KeyError("k")
        except KeyError:
            logger.exception("it failed")
        first, second = map(json.loads, written(capsys).err.splitlines())
        assert first["body"] == "two\nlines of ä"
        assert (first["severity_text"], first["severity_number"]) == ("INFO", 9)
        assert first["otel.scope.name"] == "inference_gateway.test"
        assert first.keys() == {"timestamp", "severity_text", "severity_number", "otel.scope.name", "body"}
        assert second["body"] == "it failed"
        assert second["exception.stacktrace"].startswith("Traceback (most recent call last)")
        assert second["exception.stacktrace"].endswith("KeyError: 'k'")

    def test_the_time_is_utc_with_microseconds(self) -> None:
        formatter = JsonFormatter()
        for created, shown in [
            (0.25, "00:00:00.250000Z"),
            (1.5, "00:00:01.500000Z"),
            (1.0, "00:00:01.000000Z"),
        ]:
            record = logging.makeLogRecord({"created": created, "levelno": logging.INFO})
            assert json.loads(formatter.format(record))["timestamp"] == f"1970-01-01T{shown}"

    @pytest.mark.parametrize(
        ("level", "number"), [(5, 1), (10, 5), (15, 5), (20, 9), (30, 13), (40, 17), (50, 21), (60, 21)]
    )
    def test_the_severity(self, level: int, number: int) -> None:
        record = logging.makeLogRecord({"levelno": level})
        assert json.loads(JsonFormatter().format(record))["severity_number"] == number

    def test_tags_and_fields_are_fields_of_their_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure("json")
        tagged = TaggedLogger(logging.getLogger("inference_gateway.test"))
        tagged.add_tags({"study": 7, "severity_text": "a tag's", "odd": {1}})
        tagged.warning("%d%% of it", 50)
        message = TaggedMessage({"a": 1}, "done", fields={"seconds": 0.5})
        tagged.logger.info(message)
        first, second = map(json.loads, written(capsys).err.splitlines())
        assert first == first | {"study": 7, "odd": "{1}", "severity_text": "WARNING", "body": "50% of it"}
        assert second == second | {"a": 1, "seconds": 0.5, "body": "done"}

    def test_what_a_library_gives_besides_is_kept(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure("json")
        own = logging.getLogger("inference_gateway.test")
        own.info("done", extra={"organ": "liver", "severity_text": "not this"}, stack_info=True)
        line = json.loads(written(capsys).err)
        assert line == line | {"body": "done", "organ": "liver", "severity_text": "INFO"}
        assert "in test_what_a_library_gives_besides_is_kept" in line["code.stacktrace"]

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_a_line_of_a_model_names_its_request(
        self, capsys: pytest.CaptureFixture[str], log_format: Literal["text", "json"]
    ) -> None:
        self.configure(log_format)
        plain = logging.getLogger("the.model")
        own = TaggedLogger(plain)
        own.add_tags({"request_id": "its own", "organ": "liver 100%"})

        def model() -> None:
            working_for.set(SimpleNamespace(request_id="id-1", route="/a", trace=TraceContext("4b", "00")))
            plain.info("%d%% done", 50)
            plain.info("100%")
            own.info("%s", "found")

        contextvars.copy_context().run(model)
        plain.info("outside")
        lines = written(capsys).err.splitlines()
        names = {"request_id": "id-1", "http.route": "/a", "trace_id": "4b", "span_id": "00"}
        tags = [names, names, names | {"organ": "liver 100%", "request_id": "its own"}, {}]
        texts = ["50% done", "100%", "found", "outside"]
        if log_format == "json":
            for line, has, text in zip(map(json.loads, lines), tags, texts, strict=True):
                assert line == line | has | {"body": text}
            assert "request_id" not in lines[3]
        else:
            of_request = "[request_id=id-1 http.route=/a trace_id=4b span_id=00]"
            own_tags = '{"organ": "liver 100%", "request_id": "its own"} - '
            shown = [line.partition(" ")[2].partition(" ")[2] for line in lines]
            assert shown == [
                f"INFO the.model {of_request}: 50% done",
                f"INFO the.model {of_request}: 100%",
                f"INFO the.model {of_request}: {own_tags}found",
                "INFO the.model: outside",
            ]

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_nothing_of_pydicom_and_highdicom_is_shown(
        self, capsys: pytest.CaptureFixture[str], log_format: Literal["text", "json"]
    ) -> None:
        self.configure(log_format, "DEBUG")
        for name in ("pydicom", "pydicom.valuerep", "highdicom.base"):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)  # as importing pydicom, or its debug switch, may do afterwards
            for level in (logging.DEBUG, logging.WARNING, logging.ERROR, logging.CRITICAL):
                logger.log(level, "Invalid value for VR PN: 'SECRET'")
        logging.getLogger("pydicomish").warning("seen")
        assert "SECRET" not in (shown := written(capsys).err)
        assert "seen" in shown

    def test_the_level(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure(level="WARNING")
        logging.getLogger("inference_gateway").info("not this")
        logging.getLogger("inference_gateway").warning("this")
        assert written(capsys).err.endswith("inference_gateway: this\n")

    def test_no_line_for_each_access(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure()
        logging.getLogger("uvicorn.access").info("GET /SECRET")
        logging.getLogger("uvicorn.error").info("started")
        assert written(capsys).err.endswith("uvicorn.error: started\n")

    def test_loggers_that_are_there_stay_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        logger = logging.getLogger("somebody.else")
        self.configure()
        logger.warning("still here")
        assert "still here" in written(capsys).err

    @pytest.mark.parametrize(("options", "shown"), [([], False), (["default"], True)])
    def test_python_warnings_are_shown_only_where_asked_for(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        options: list[str],
        shown: bool,
    ) -> None:
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", lambda *args, **_: print(args[0], file=sys.stderr))
        monkeypatch.setattr(sys, "warnoptions", options)
        self.configure()
        warnings.warn("Invalid value for VR PN: 'SECRET'", UserWarning, stacklevel=1)
        assert ("SECRET" in written(capsys).err) == shown
