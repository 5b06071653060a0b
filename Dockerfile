# The runtime with nothing to serve yet; docs/image.md says how a model gets into it, and what the arguments are for.
#
#   FROM dicom-inference-gateway
#   USER root
#   RUN pip install --no-cache-dir torch && sbom
#   USER 10001
#   COPY my_model.py .
#   CMD ["my_model:model"]
#
# By default the newest CPython that PyTorch has wheels for.
ARG PYTHON_VERSION=3.15
# Another base: BASE_PACKAGES of Debian or Ubuntu bring it a Python, and BASE_PYTHON is what that is called.
ARG BASE=docker.io/library/python:${PYTHON_VERSION}-slim

FROM ${BASE} AS base
ARG BASE_PACKAGES=
USER root
RUN test -z "${BASE_PACKAGES}" || { apt-get update && apt-get install --yes --no-install-recommends ${BASE_PACKAGES} \
 && rm -rf /var/lib/apt/lists/*; }

FROM base AS build
ARG BASE_PYTHON=python3
ARG EXTRAS=dicom,codecs
WORKDIR /src
# Packages of the base, such as its own PyTorch, are seen from inside too.
RUN "${BASE_PYTHON}" -m venv --system-site-packages /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# The certificates of a proxy that looks into TLS, where there is one: they are in no layer. NVIDIA's images name
# constraints of their own, for their own packages.
RUN --mount=type=secret,id=certificates \
    if [ -e /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi \
 && unset PIP_CONSTRAINT \
 && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && set -- /wheels/*.whl \
 && pip install --no-cache-dir --constraint constraints.txt "$1${EXTRAS:+[$EXTRAS]}"
COPY --chmod=0755 deploy/image/sbom.py /opt/venv/bin/sbom

FROM base
ARG PYTHON_VERSION
LABEL org.opencontainers.image.title="inference-gateway" \
      org.opencontainers.image.description="Put a medical-imaging model behind HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8000
# What is in the image, with its licences: /usr/share/sbom/image.cdx.json.
RUN sbom
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
