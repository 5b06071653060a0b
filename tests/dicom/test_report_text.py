"""What a structured report says, line by line."""

from pydicom import Dataset

from inference_gateway.dicom.report_text import lines_of
from tests.dicom.returned import code, content, item, report


def test_every_kind_of_value_is_a_line_as_deep_as_it_is_nested() -> None:
    measured = item(NumericValue="12.5", MeasurementUnitsCodeSequence=code("mm"))
    lines = lines_of(
        report(
            content("TEXT", "Finding", TextValue="Läsion\r\nin segment VI"),
            content(
                "CONTAINER",
                "Measurements",
                ContentSequence=[
                    content("NUM", "Diameter", MeasuredValueSequence=[measured]),
                    content("NUM", "Volume"),
                    content("CODE", "Site", ConceptCodeSequence=code("Liver")),
                ],
            ),
            content("DATE", "Seen", Date="20240501"),
            content("IMAGE", "Source"),
            content("WHATEVER", "Odd"),
            Dataset(),
        )
    )
    assert lines == [
        "Imaging Report",
        "  Finding: Läsion in segment VI",
        "  Measurements",
        "    Diameter: 12.5 mm",
        "    Volume",
        "    Site: Liver",
        "  Seen: 20240501",
        "  Source: image",
        "  Odd",
    ]


def test_a_report_is_as_long_and_as_deep_as_a_page_is_good_for() -> None:
    assert len(lines_of(report(*[content("TEXT", "x", TextValue="y")] * 5000))) == 2001
    deep = content("CONTAINER", "end")
    for _ in range(60):
        deep = content("CONTAINER", "x", ContentSequence=[deep])
    assert len(lines_of(report(deep))) == 25
    assert lines_of(Dataset()) == []
