"""Write anew whatever in docs/ is made of the code: `python -m manual`."""

from inference_gateway.description import document
from inference_gateway.results import reference as answers
from inference_gateway.telemetry import reference as metrics
from manual.reference import DOCS, PAGES

if __name__ == "__main__":
    for name, text_of in PAGES.items():
        (DOCS / name).write_text(text_of(), encoding="utf-8")
    answers.write(DOCS)
    metrics.write(DOCS)
    document.write(DOCS)
