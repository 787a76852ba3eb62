#!/bin/sh
# Prints which of the needs of the fault tests (docs/faults.md) this machine
# meets, separated by commas, by trying each: what it names must not be skipped,
# so CI passes it on as PROVE_REQUIRE. What it leaves out is said on standard
# error.
set -u

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/disk"
can=""

try() { # try NEED COMMAND...: the machine meets NEED when the command succeeds
	need=$1
	shift
	if why=$("$@" 2>&1); then
		can="$can${can:+,}$need"
	else
		echo "fault tests: this machine has no $need: ${why:-$* fails}" >&2
	fi
}

memory() { mount -t tmpfs -o size=1m tmpfs "$work/disk" && umount "$work/disk"; }

image() { # image KIND
	rm -f "$work/image"
	truncate -s 320M "$work/image" && "mkfs.$1" -q "$work/image" && mount -o loop "$work/image" "$work/disk" && umount "$work/disk"
}

group() {
	for limit in /sys/fs/cgroup/memory/sekali-can-$$/memory.limit_in_bytes /sys/fs/cgroup/sekali-can-$$/memory.max; do
		dir=${limit%/*}
		mkdir "$dir" 2>/dev/null || continue
		echo 268435456 2>/dev/null >"$limit"
		limited=$?
		rmdir "$dir"
		[ "$limited" -eq 0 ] && return 0
	done
	return 1
}

trace() {
	sleep 60 &
	traced=$!
	timeout 1 strace -qq -p "$traced" -o /dev/null
	status=$? # 124 when it was attached until its time was over
	kill "$traced"
	[ "$status" -eq 124 ]
}

try root [ "$(id -u)" -eq 0 ]
try mount memory
try ext4 image ext4
try xfs image xfs
try cgroup group
try ptrace trace
try sqlite3 command -v sqlite3
try chromium command -v chromium
echo "$can"
