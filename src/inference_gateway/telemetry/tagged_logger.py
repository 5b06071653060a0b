"""A logger whose lines carry tags, as the old SDK had it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

to_json = json.JSONEncoder(sort_keys=True, default=str).encode


class TaggedMessage:
    """A log line's message, rendered when a handler asks for it: `{"a": 1, "b": 2} - text`, keys sorted.

    `tags`, and `fields`, which are of this line alone, are shown in front of the text. `text`: what `%`
    arguments of the log record, where `has_args`, are put into; a percent sign in a tag is no conversion.
    `is_settled`: nothing of it changes any more, so that it may be rendered later.
    """

    is_settled = False

    __slots__ = ("fields", "has_args", "tags", "text")

    def __init__(
        self,
        tags: Mapping[str, Any],
        text: object,
        *,
        has_args: bool = False,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.tags = tags
        self.text = text
        self.has_args = has_args
        self.fields = fields or {}

    def in_json(self) -> str:
        """Return tags and fields as one JSON object, keys sorted."""
        return to_json({**self.tags, **self.fields})

    def __str__(self) -> str:
        tags = self.in_json()
        if self.has_args:
            tags = tags.replace("%", "%%")
        return f"{tags} - {self.text}"


class TaggedLogger(logging.LoggerAdapter[logging.Logger]):
    """Prefixes each message with its tags: `{"a": 1, "b": 2} - message`, keys sorted.

    `logger`: a logger, or another `TaggedLogger`, whose tags this one begins with (a copy: tags added later
    to the one do not show in the other). In JSON lines each tag is a field of its own.
    """

    def __init__(self, logger: logging.Logger | TaggedLogger) -> None:
        self.tags: dict[str, Any] = {}
        if isinstance(logger, TaggedLogger):
            self.tags.update(logger.tags)
            logger = logger.logger
        super().__init__(logger, {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log `msg % args` under the tags; a percent sign in a tag is no conversion."""
        if self.isEnabledFor(level):
            message = TaggedMessage(dict(self.tags), msg, has_args=bool(args))
            self.logger.log(level, message, *args, **kwargs)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Add tags, or replace those of the same name. Values: what JSON can hold, else their `str`."""
        self.tags.update(tags)

    def tag(self, tags: Mapping[str, Any]) -> TaggedLogger:
        """Return a new logger with this one's tags and these."""
        child = TaggedLogger(self)
        child.add_tags(tags)
        return child
