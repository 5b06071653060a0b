"""The wire format: multipart messages (RFC 2046 §5.1) and their headers, without any input or output.

Nothing here awaits, opens a file, reads a clock or knows a framework.
"""

from inference_gateway.multipart.decoder import Decoder, Event, Limits, PartBegin, PartData, PartEnd
from inference_gateway.multipart.encoder import Encoder
from inference_gateway.multipart.grammar import (
    Headers,
    MediaType,
    check_boundary,
    filename_of,
    parse_header_line,
    parse_media_type,
)

__all__ = [
    "Decoder",
    "Encoder",
    "Event",
    "Headers",
    "Limits",
    "MediaType",
    "PartBegin",
    "PartData",
    "PartEnd",
    "check_boundary",
    "filename_of",
    "parse_header_line",
    "parse_media_type",
]
