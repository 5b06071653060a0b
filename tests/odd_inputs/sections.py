"""The table, section by section."""

from collections.abc import Mapping, Sequence

from tests.odd_inputs import (
    content_types,
    delimiters,
    framing,
    hostile,
    limits,
    parameters,
    part_headers,
    part_lengths,
    root_part,
    start,
)
from tests.odd_inputs.table import Row

SECTIONS: Mapping[str, Sequence[Row]] = {
    "framing": framing.ROWS,
    "delimiters": delimiters.ROWS,
    "parameters": parameters.ROWS,
    "part headers": part_headers.ROWS,
    "part lengths": part_lengths.ROWS,
    "root part": root_part.ROWS,
    "start": start.ROWS,
    "content types": content_types.ROWS,
    "limits": limits.ROWS,
    "hostile": hostile.ROWS,
}
ROWS: Sequence[Row] = [row for section in SECTIONS.values() for row in section]
