"""FastAPI, as its documentation does it: UploadFiles of a form, and the blocking model in the thread pool.

`max_files` is raised because the default of 1000 refuses a study of 2000 images.
"""

import json

from counting import model
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

app = FastAPI()


@app.get("/ping", response_class=PlainTextResponse)
async def ping() -> str:
    return "up"


@app.post("/")
async def infer(request: Request) -> Response:
    async with request.form(max_files=100_000) as form:
        inputs = [upload.file for upload in form.getlist("inputs")]
        answer, elements = await run_in_threadpool(model, json.loads(form["json_input"]), inputs, "")
    if not elements:
        return JSONResponse(answer)
    if hasattr(elements[0], "tobytes"):
        return Response(elements[0].tobytes(), media_type="application/octet-stream")
    return StreamingResponse(elements[0], media_type="application/octet-stream")
