"""The page of a report, but for its images: what stands before, between and after them.

All that comes from the answer or the study is text and is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>Inference report</title>
<style>{style}</style>
</head>
<body>
"""

_VIEWER = """<h1>Inference report</h1>
{alarms}
<main>
<section id="viewer">
<div id="stage" tabindex="0" role="img" aria-labelledby="caption">
<canvas id="image"></canvas><canvas id="layer"></canvas><svg id="shapes"></svg>
</div>
<p id="caption" aria-live="polite"></p>
</section>
<section id="controls" aria-label="Controls">
<label>Series <select id="series"></select></label>
<label>Plane <input id="plane" type="range" min="0" value="0"></label>
<p class="pair"><button id="previous">Previous finding</button> <button id="next">Next finding</button></p>
<p class="pair">
<label>Window centre <input id="center" type="number" step="any"></label>
<label>Window width <input id="width" type="number" step="any" min="0"></label>
</p>
<p><button id="reset">The image's own window</button></p>
<label>Opacity <input id="opacity" type="range" min="0" max="1" step="0.05" value="0.4"></label>
<label class="line"><input id="outlines" type="checkbox"> Masks as outlines</label>
<ul id="legend" aria-label="What is on this plane"></ul>
<p class="hint">Wheel, arrow keys, Page Up and Down, Home and End go through the planes; N and P to the next
and the previous finding; O draws outlines, 0 to 9 set the opacity. Drag over the image to set the window; on
a touch screen, to go through the planes.</p>
</section>
</main>
"""

END = """<script>{script}</script>
</body>
</html>
"""


def viewer(alarms: Sequence[str], warnings: Sequence[str], size: str) -> str:
    """Return what stands around the images: what nobody may overlook first."""
    told = [f'<p class="alarm" role="alert">{html.escape(one)}</p>' for one in alarms]
    if warnings:
        told.append(
            f'<section class="warning"><h2>Warnings of the model</h2><ul>{items(warnings)}</ul></section>'
        )
    if size:
        told.append(f"<p>{html.escape(size)}</p>")
    return _VIEWER.format(alarms="\n".join(told))


def tail(
    rows: Sequence[tuple[str, str]],
    seconds: Mapping[str, float],
    elements: Sequence[str],
    notes: Sequence[str],
    texts: Sequence[tuple[str, Sequence[str]]],
) -> str:
    """Return what stands below the images."""
    reports = "".join(
        f'<h2>{html.escape(title)}: structured report</h2><pre class="text">{_text(lines)}</pre>'
        for title, lines in texts
    )
    spent = [(name, f"{each:.2f} s") for name, each in seconds.items()]
    return (
        f"{reports}<h2>Not drawn, or not as it may be meant</h2><ul>{items(notes)}</ul>"
        f"<h2>Request and answer</h2><table>{_table(rows)}</table>"
        f"<h2>Time</h2><table>{_table(spent)}</table>"
        f'<h2>Elements</h2><ol start="0">{items(elements)}</ol>\n'
    )


def items(lines: Sequence[str]) -> str:
    """Return lines as those of a list."""
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines) or "<li>none</li>"


def _text(lines: Sequence[str]) -> str:
    return html.escape("\n".join(lines))


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows
    )
