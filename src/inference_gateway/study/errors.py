"""What keeps a study from being what a model asks for."""

from __future__ import annotations


class StudyError(ValueError):
    """The study is not what a model asks for; the message says why, with numbers, and quotes nothing."""
