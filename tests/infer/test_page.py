"""What stands around the images of a report is text."""

from inference_gateway.infer import page

HOSTILE = "</p><script>alert(1)</script>"
SAFE = "&lt;/p&gt;&lt;script&gt;"


def test_whatever_is_said_is_escaped() -> None:
    written = page.viewer([HOSTILE], [HOSTILE], HOSTILE) + page.tail(
        [(HOSTILE, HOSTILE)], {HOSTILE: 1.0}, [HOSTILE], [HOSTILE], [(HOSTILE, [HOSTILE, "  deeper"])]
    )
    assert "<script" not in written
    assert written.count(SAFE) == 10
    assert "\n  deeper" in written


def test_alarms_and_warnings_stand_before_the_images_or_not_at_all() -> None:
    written = page.viewer(["no decoder"], ["too thick"], "")
    assert written.index('class="alarm"') < written.index('class="warning"') < written.index('id="stage"')
    quiet = page.viewer([], [], "")
    assert "alarm" not in quiet
    assert "warning" not in quiet
    assert "<li>none</li>" in page.tail([], {}, [], [], [])
