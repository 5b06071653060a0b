#!/bin/sh
# Build the image with docker, podman or buildah, whichever is there; `make image` calls this. docs/image.md has what
# IMAGE, PYTHON_VERSION, BASE, BASE_PACKAGES, BASE_PYTHON, EXTRAS, CERTIFICATES and BUILD_OPTIONS are for.
set -eu
cd "$(dirname "$0")/../.."
image=${IMAGE:-dicom-inference-gateway}

for name in PYTHON_VERSION BASE BASE_PACKAGES BASE_PYTHON EXTRAS; do
    eval "value=\${$name-unset}"
    [ "$value" = unset ] || set -- "$@" --build-arg "$name=$value"
done
[ -z "${CERTIFICATES:-}" ] || set -- "$@" --secret "id=certificates,src=$CERTIFICATES"

why="none of them is installed"
if command -v docker >/dev/null; then
    # shellcheck disable=SC2086 - several options
    docker info >/dev/null 2>&1 && DOCKER_BUILDKIT=1 exec docker build --tag "$image" ${BUILD_OPTIONS:-} "$@" .
    why="docker is installed, but its daemon does not answer (docker info says why)"
fi
for tool in podman buildah; do
    # Only Docker's own format has a place for HEALTHCHECK.
    # shellcheck disable=SC2086
    ! command -v $tool >/dev/null || exec $tool build --format docker --tag "$image" ${BUILD_OPTIONS:-} "$@" .
done
echo "An image is built by docker, podman or buildah, and $why. On Debian and Ubuntu: apt-get install buildah" >&2
exit 1
