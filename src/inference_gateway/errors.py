"""Every error of this package, in one tree.

```
GatewayError
├── RequestError                 the answer is a problem (RFC 9457) with `status` and `detail`
│   ├── BadRequest               400
│   │   ├── InvalidContentType
│   │   ├── MalformedMultipart
│   │   └── InvalidRootPart
│   ├── Unauthorized             401
│   ├── UploadTimeout            408
│   ├── LimitExceeded            413
│   ├── UnsupportedEncoding      415
│   ├── Refused                  422, or another 4xx: the model refused, by its own sentence
│   ├── ModelError               500
│   │   ├── ModelFailed
│   │   ├── InvalidModelOutput
│   │   └── ModelCrashed         the model's process ended
│   ├── Unavailable              503, with `retry_after`
│   ├── ModelTimeout             504
│   └── InsufficientStorage      507
├── MultipartError               a message breaks the wire format, whoever sent it; has a `status_hint`
├── ClientDisconnected           there is nobody left to answer
├── ResponseCut                  the answer had begun: the connection is cut
├── RequestCancelled             raised inside a callback that asked whether to go on
├── SetupFailed                  a model cannot be loaded, a setting cannot work
├── UnusableModel                what was registered cannot be called as a model is; a `TypeError`, too
└── ClientError                  raised to users of the client
    ├── GatewayUnreachable
    ├── ProblemAnswer            the gateway refused or failed
    │   └── Overloaded           503, with `retry_after`
    └── BrokenAnswer             what came is not a whole answer
        ├── CutAnswer
        └── HashMismatch
```

`kind` is the word by which metrics count an error (`telemetry.families`).

A `RequestError` or `MultipartError` carries one public sentence, `detail`. It is made of words of this
package only: nothing of a request, nothing of a model's exception is ever in it. `Refused` is the exception:
its sentence is the model's author's.
"""

from __future__ import annotations

from typing import ClassVar, Literal

REFUSED_TYPE = "urn:inference-gateway:refused"
_SENTENCE = 500  # characters of a model's own sentence

NotNow = Literal[
    "not_ready",
    "draining",
    "uploads_full",
    "queue_full",
    "queue_timeout",
    "disk",
    "device_memory",
    "unavailable",
]
"""Why a request is not taken now: the kinds of `Unavailable`."""


class GatewayError(Exception):
    """Root of the tree."""

    kind: str = "gateway_error"


class RequestError(GatewayError):
    """A request that is answered with a problem document.

    `detail` is the public sentence: it names the cause and, where there is one, the next step.
    """

    status: int
    sentence: ClassVar[str]
    type: ClassVar[str] = "about:blank"  # of the problem (RFC 9457 §3.1.1)
    title: ClassVar[str | None] = None  # of its type; the status's own where there is none

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.sentence
        super().__init__(self.detail)


class BadRequest(RequestError):
    """The request is not what the wire contract asks for."""

    status = 400
    kind = "malformed"
    sentence = "the request is malformed"


class InvalidContentType(BadRequest):
    """The request's Content-Type is not one `multipart/related` with a usable boundary (RFC 2387)."""

    kind = "content_type"
    sentence = "invalid content-type: send one Content-Type header with multipart/related and a boundary"


class MalformedMultipart(BadRequest):
    """The body breaks the framing of RFC 2046 §5.1, or a part's header is malformed."""

    sentence = "the multipart body is malformed"


class InvalidRootPart(BadRequest):
    """The root part (RFC 2387 §3.2) is missing or is not JSON in the declared charset."""

    kind = "root_part"
    sentence = "the root part is not valid JSON"


class Unauthorized(RequestError):
    """The gateway wants an API key, and the request has none that it knows."""

    status = 401
    kind = "unauthorized"
    sentence = "an API key is needed: send one of yours as Authorization: Bearer KEY or X-API-Key: KEY"


class UploadTimeout(RequestError):
    """The client sends nothing for too long, or too slowly, or for too long altogether."""

    status = 408
    kind = "upload_timeout"
    sentence = "the upload was too slow: send the body without long pauses"


class LimitExceeded(RequestError):
    """The request is larger than a configured limit."""

    status = 413
    kind = "too_large"
    sentence = "the request is over a limit of this gateway"


class UnsupportedEncoding(RequestError):
    """A Content-Encoding, or a Content-Transfer-Encoding other than binary, 8bit, 7bit."""

    status = 415
    kind = "encoding"
    sentence = "content is accepted as it is only: send it without a Content-Encoding"


class Refused(RequestError):
    """The model refuses the request, and the client gets its sentence; raise it in a model.

    ```python
    raise Refused("this model needs an axial CT with at least 40 slices")
    ```

    `sentence`: what the client reads: what is needed, in one line. It must hold nothing of the patient: no
    name, no date, no UID, no text of the study. `status`: of the answer, from 400 to 499. Raises `ValueError`
    for another status, or without a sentence.
    """

    status = 422
    kind = "model"
    sentence = "the model refuses this request"
    type = REFUSED_TYPE
    title = "Refused by the model"

    def __init__(self, sentence: str, *, status: int = 422) -> None:
        told = " ".join(str(sentence).split())
        shown = "".join(one for one in told if one.isprintable())[:_SENTENCE]
        if not shown:
            raise ValueError("say why the model refuses, in one sentence")
        if not (isinstance(status, int) and 400 <= status <= 499):
            raise ValueError("the status of a refusal is from 400 to 499")
        super().__init__(shown)
        self.status = status


class ModelError(RequestError):
    """The model did not do its part. The reason is in the log, never in the answer."""

    status = 500
    kind = "model_failed"
    sentence = "the model failed: its operator finds the reason in the log under this request_id"


class ModelFailed(ModelError):
    """The model raised an exception; it is the `__cause__`."""


class InvalidModelOutput(ModelError):
    """What the model returned does not fit the wire contract; `reason`, for the log, says how."""

    kind = "invalid_output"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class ModelCrashed(ModelError):
    """The model's process ended while it worked for this request; `reason`, for the log, says how."""

    kind = "model_crashed"
    type = "urn:inference-gateway:model-crashed"
    title = "Model crashed"
    sentence = "the model's process ended: its operator finds the reason in the log under this request_id"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Unavailable(RequestError):
    """Not now: not ready, draining, or all places taken. `retry_after` is in seconds."""

    status = 503
    sentence = "the gateway cannot take this request now: try again later"

    def __init__(
        self, detail: str | None = None, *, kind: NotNow = "unavailable", retry_after: int = 2
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.retry_after = retry_after


class ModelTimeout(RequestError):
    """The model's deadline has passed. `stack`, for the log: where its call is, innermost frame first."""

    status = 504
    kind = "model_timeout"
    sentence = "the model did not finish within its time limit"

    def __init__(self, stack: str = "") -> None:
        super().__init__()
        self.stack = stack


class InsufficientStorage(RequestError):
    """The disk, or this process's share of it, is spent."""

    status = 507
    kind = "storage"
    sentence = "the gateway has no room left to store this request: try again later or send less"


class MultipartError(GatewayError):
    """A multipart message, or a header of one, breaks the wire format or a limit, whoever sent it.

    `detail` says how. `status_hint` is the status that a server answers with: 400, 413 or 415.
    """

    def __init__(self, detail: str, status_hint: int = 400) -> None:
        self.detail = detail
        self.status_hint = status_hint
        super().__init__(detail)


class ClientDisconnected(GatewayError):
    """The client is gone: there is nobody to answer."""

    kind = "client_left"


class ResponseCut(GatewayError):
    """The answer cannot be completed after its first byte: the connection is to be cut."""

    kind = "answer_cut"


class RequestCancelled(GatewayError):
    """Raised by `current_request().raise_if_cancelled()`: nobody waits for this result any more."""


class SetupFailed(GatewayError):
    """The service cannot start: a model cannot be loaded or a setting cannot work."""


class UnusableModel(GatewayError, TypeError):
    """What was registered as a model cannot be called with a model's arguments; the message says why."""


class ClientError(GatewayError):
    """Root of what the client raises."""


class GatewayUnreachable(ClientError):
    """No answer came: the connection was refused, lost, or took too long.

    `sent`: whether any of the request may have gone out. Where not, the model has not run.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class ProblemAnswer(ClientError):
    """The gateway answered with another status than 200.

    `status` is the HTTP status, `title` its name, `detail` the gateway's sentence, `request_id` what its log
    knows it by, `type` the kind of problem (RFC 9457), such as `REFUSED_TYPE`. `traceback` is the model's,
    where the gateway shows it: `inference-gateway serve --dev`.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        request_id: str | None = None,
        *,
        title: str = "",
        type: str = "about:blank",
        traceback: str | None = None,
    ) -> None:
        self.type = type
        self.traceback = traceback
        self.status = status
        self.title = title
        self.detail = detail
        self.request_id = request_id
        super().__init__(f"{status}: {detail}")


class Overloaded(ProblemAnswer):
    """The gateway answered 503. `retry_after` is in seconds, None where it did not say."""

    def __init__(
        self,
        status: int,
        detail: str,
        request_id: str | None = None,
        *,
        title: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, detail, request_id, title=title)
        self.retry_after = retry_after


class BrokenAnswer(ClientError):
    """What came is not a whole and true answer: none of it may be used."""


class CutAnswer(BrokenAnswer):
    """The answer ended before its hashes part and close delimiter."""


class HashMismatch(BrokenAnswer):
    """A hash in the answer is not the hash of what was sent or received."""
