#!/bin/sh
# Installs what the container test needs: buildah, podman and runc, from
# Debian's packages. Does nothing when they are there, and says so when it
# cannot help.
set -eu

missing=""
for tool in buildah podman runc; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done

if [ -z "$missing" ]; then
	echo "container test: buildah, podman and runc are installed"
elif ! command -v apt-get >/dev/null 2>&1; then
	echo "container test: missing:$missing; this is not Debian, please install them yourself; the test is skipped without them" >&2
elif [ "$(id -u)" -ne 0 ]; then
	echo "container test: missing:$missing; run this as root to install them; the test is skipped without them" >&2
else
	echo "container test: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y -qq --no-install-recommends $missing
fi
