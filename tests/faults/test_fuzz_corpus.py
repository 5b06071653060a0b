"""Every input of the fuzzers' corpus holds its target's invariant: seeds, and findings that were repaired."""

from pathlib import Path

import pytest
from fuzz import decoder, grammar, ingest

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
CHECKS = {"decoder": decoder.check, "grammar": grammar.check, "ingest": ingest.check}


def test_each_folder_of_the_corpus_has_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(CHECKS)


@pytest.mark.parametrize("target", CHECKS)
def test_the_corpus(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) > 30
    broken = []
    for path in inputs:
        try:
            CHECKS[target](path.read_bytes())
        except AssertionError as error:
            broken.append(f"{path.name}: {error!r:.300}")
    assert broken == []
