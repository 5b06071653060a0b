"""A logger whose lines carry tags, as the old SDK had it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any


class TaggedLogger(logging.LoggerAdapter[logging.Logger]):
    """Prefixes each message with its tags: `{"a": 1, "b": 2} - message`, keys sorted.

    `logger`: a logger, or another `TaggedLogger`, whose tags this one begins with (a copy: tags added later
    to the one do not show in the other).
    """

    def __init__(self, logger: logging.Logger | TaggedLogger) -> None:
        self.tags: dict[str, Any] = {}
        if isinstance(logger, TaggedLogger):
            self.tags.update(logger.tags)
            logger = logger.logger
        super().__init__(logger, {})

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Logs `msg % args` under the tags; a percent sign in a tag is no conversion."""
        if self.isEnabledFor(level):
            tags = json.dumps(self.tags, sort_keys=True)
            if args:
                tags = tags.replace("%", "%%")
            self.logger.log(level, f"{tags} - {msg}", *args, **kwargs)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Adds tags, or replaces those of the same name. Values are anything that JSON can hold."""
        self.tags.update(tags)

    def tag(self, tags: Mapping[str, Any]) -> TaggedLogger:
        """A new logger with this one's tags and these."""
        child = TaggedLogger(self)
        child.add_tags(tags)
        return child
