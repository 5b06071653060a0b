"""LitServe, as its documentation does it: a form's files go to the worker process through a queue."""

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

import litserve
from counting import model
from fastapi import Request, Response

STREAM = os.environ.get("BENCH_ANSWER") == "iterable"


class Counting(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = model

    def decode_request(self, request: Request) -> Any:
        return json.loads(request["json_input"]), [upload.file for upload in request.getlist("inputs")]

    def predict(self, study: Any) -> Any:
        return self.model(*study, "")

    def encode_response(self, output: Any) -> Any:
        answer, elements = output
        return Response(elements[0].tobytes(), media_type="application/octet-stream") if elements else answer


class Streaming(Counting):
    def predict(self, study: Any) -> Iterator[Any]:
        answer, elements = self.model(*study, "")
        yield from elements[0] if elements else [json.dumps(answer).encode()]

    def encode_response(self, output: Any) -> Any:
        yield from output


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    api = Streaming(api_path="/infer", stream=True) if STREAM else Counting(api_path="/infer")
    server = litserve.LitServer(api, accelerator="cpu", timeout=600)
    server.run(
        host="127.0.0.1",
        port=arguments.port,
        generate_client_file=False,
        access_log=False,
        log_level="warning",
    )
