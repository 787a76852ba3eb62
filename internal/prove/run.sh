#!/usr/bin/env bash
# Runs the fault tests at the size of a release, one package after the other,
# and writes what they found into the page of the faults. 'make prove' calls it.
# Settings, as variables:
#   ROWS   rows of the table to run, such as "1 3"; all when empty. The other
#          rows keep the results of the last run: so a run of hours can be
#          done in parts, and one that ended can be resumed.
#   OUT    directory of the results and logs
#   PAGE   the page, empty to leave it as it is
# PROVE_SEED repeats a run; PROVE_<COUNT>, such as PROVE_KILLS, changes its size.
# Exits with 1 when a test failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

rows=${ROWS:-}
out=$(mkdir -p "${OUT:-prove-results}" && cd "${OUT:-prove-results}" && pwd)
page=${PAGE-docs/faults.md}

numbers=()
for row in $rows; do
	[[ $row =~ ^[0-9]+$ ]] || { echo "prove: ROWS has '$row'; write row numbers like \"1 3\"" >&2; exit 2; }
	numbers+=("$(printf '%02d' "$((10#$row))")")
done
pattern="^TestFault[0-9]"
if [ ${#numbers[@]} -gt 0 ]; then
	pattern="^TestFault($(IFS='|'; echo "${numbers[*]}"))"
fi

say() { echo "prove: $(date +%H:%M:%S) $*"; }

# prove PACKAGE FOLDER runs the tests of a package; what they print as they go
# is in the log, the lines that show progress are on the screen.
prove() {
	local log="$out/${2//\//-}.log"
	PROVE=release PROVE_OUT="$out" go test -count=1 -timeout 48h -run "$pattern" -v "$1" 2>&1 | tee "$log" |
		{ grep --line-buffered -E '^(=== RUN +[^/]+$|--- |ok|FAIL|panic|\S+\.go:[0-9]+)|--- FAIL|: (row [0-9]+:|repeat with|progress:)' || true; }
	return "${PIPESTATUS[0]}"
}

# note_passed LOG notes each test that passed and had nothing to report, so that
# it is on the page.
note_passed() {
	local name seconds control
	while read -r name seconds; do
		compgen -G "$out/$name*.json" >/dev/null && continue
		control=false
		[[ $name =~ ^TestFault[0-9]+Control ]] && control=true
		printf '{"row": %d, "test": "%s", "control": %s, "figures": [], "seconds": %s, "passed": true}\n' \
			"$((10#${name:9:2}))" "$name" "$control" "$seconds" >"$out/$name.json"
	done < <(sed -nE 's/^--- PASS: (TestFault[0-9]\w+) \(([0-9.]+)s\)$/\1 \2/p' "$1")
}

failed=0
while IFS= read -r folder; do
	names=$(grep -hoE '^func TestFault[0-9]\w+' "$folder"/*_test.go | sed 's/^func //' | grep -E "$pattern" || true)
	[ -n "$names" ] || continue
	for name in $names; do rm -f "$out/$name.json" "$out/${name}_"*.json; done
	say "$folder: $(wc -w <<<"$names") tests"
	prove "./$folder" "$folder" || failed=1
	note_passed "$out/${folder//\//-}.log"
	say "$folder: done"
done < <(grep -rlE '^func TestFault[0-9]' --include='*_test.go' --exclude-dir='.?*' . | xargs -r -n1 dirname | sed 's|^\./||' | sort -u)

# Every fault test of the tree should have a result by now, but those of rows
# that have not been run yet.
grep -rhoE '^func TestFault[0-9]\w+' --include='*_test.go' --exclude-dir='.?*' . | sed 's/^func //' | grep -E "$pattern" | sort >"$out/tests.txt"
go run ./internal/prove/report -results "$out" -tests "$out/tests.txt" -page "$page" || failed=1
exit "$failed"
