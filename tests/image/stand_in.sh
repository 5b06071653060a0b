#!/bin/sh
# Make an image that stands in for python:VERSION-slim, out of Debian's packages: where no registry can be reached.
#
#   tests/image/stand_in.sh 3.15        needs root, buildah and debootstrap; about two minutes
#
# It is Debian unstable, which has the newest Pythons, with as little in it as the official image: Python, its venv
# module, the licences of the packages and no other documentation.
set -eu
version=${1:?which Python, such as 3.15}
image=docker.io/library/python:$version-slim
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

debootstrap --variant=minbase --include="ca-certificates,python$version,python$version-venv" \
    unstable "$folder/root" http://deb.debian.org/debian
# A mirror may be behind: its lists would have expired.
echo 'Acquire::Check-Valid-Until "false";' > "$folder/root/etc/apt/apt.conf.d/mirror"
ln -s "/usr/bin/python$version" "$folder/root/usr/local/bin/python3"
ln -s "/usr/bin/python$version" "$folder/root/usr/local/bin/python"
find "$folder/root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$folder/root/var/cache/apt/archives" "$folder/root/var/lib/apt/lists" "$folder/root/usr/share/man" \
    "$folder/root/usr/share/locale" "$folder/root/var/log/bootstrap.log"
mkdir -p "$folder/root/var/cache/apt/archives/partial" "$folder/root/var/lib/apt/lists/partial"

container=$(buildah from scratch)
buildah add --quiet "$container" "$folder/root" /
buildah config --cmd python3 --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm "$container" "$image"
echo "$image stands in for the official one"
