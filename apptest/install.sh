#!/bin/sh
# Installs what the tests need beside Go, from Debian's packages: a C compiler
# for the race detector, curl for the README's commands, buildah, podman and
# runc for the container test, a browser for what web pages can do, and for the
# fault tests file systems to cut the power of, SQLite's shell, and strace to
# slow a disk down. Does nothing when they are there, and says so when it cannot
# help.
set -eu

missing=""
need() { # need COMMAND PACKAGE...
	command -v "$1" >/dev/null 2>&1 && return
	shift
	missing="$missing $*"
}
need gcc gcc libc6-dev
need curl curl ca-certificates
need buildah buildah
need podman podman
need runc runc
need chromium chromium
need mount mount
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need sqlite3 sqlite3
need strace strace

if [ -z "$missing" ]; then
	echo "tests: all tools are installed"
elif ! command -v apt-get >/dev/null 2>&1; then
	echo "tests: missing:$missing; this is not Debian, please install them yourself; the tests that need them are skipped" >&2
elif [ "$(id -u)" -ne 0 ]; then
	echo "tests: missing:$missing; run this as root to install them; the tests that need them are skipped" >&2
else
	echo "tests: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y -qq --no-install-recommends $missing
fi
