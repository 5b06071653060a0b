# The runtime with nothing to serve yet. An image with a model in it:
#
#   FROM dicom-inference-gateway
#   COPY my_model.py .
#   CMD ["my_model:model"]
#
# What the model needs is installed in between: USER root, RUN pip install ..., USER 10001.
# The Python version is the one that the tests and the benchmarks run on.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG EXTRAS=dicom,codecs
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && set -- /wheels/*.whl \
 && pip install --no-cache-dir --prefix=/install --constraint constraints.txt "$1${EXTRAS:+[$EXTRAS]}"

FROM python:${PYTHON_VERSION}-slim
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway
COPY --from=build /install /usr/local
WORKDIR /app
ENV PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8000
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# Liveness: /ping answers while models are being set up, so the start period need not wait for them. It asks
# without TLS: an image that serves with TLS needs its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['GATEWAY_PORT']), timeout=4); c.request('GET', '/ping'); sys.exit(c.getresponse().status != 200)"]
# As process 1 the server drains on SIGTERM, and reaps what others leave behind: it needs no init before it.
# With a read-only root it wants a folder for the spool: docker run --read-only --tmpfs /tmp.
STOPSIGNAL SIGTERM
ENTRYPOINT ["inference-gateway", "serve"]
