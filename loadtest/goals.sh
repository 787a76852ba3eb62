#!/usr/bin/env bash
# Runs the profiles of 'sekali loadtest' several times, in turns so that a
# machine that changes its pace changes it for all, and sums the results up.
# 'make goals' calls it. Settings, as variables:
#   RUNS      how often each profile runs
#   EVENTS    how many events 'growth' stores; reads, restart and idle use them
#   OUT       directory of the results: JSON and HTML of each run, summaries
#   PROFILES  which ones to run
#   SEKALI    the binary
# Exits with 1 when something was wrong in a run, not when a goal was missed.
set -euo pipefail

sekali=${SEKALI:-bin/sekali}
runs=${RUNS:-3}
events=${EVENTS:-20000000}
out=${OUT:-bench-results}
profiles=${PROFILES:-sustained singles isolation overload growth reads restart idle}

for profile in $profiles; do
	case $profile in
	sustained | singles | isolation | overload | growth | reads | restart | idle) ;;
	*) echo "goals: there is no profile $profile" >&2; exit 2 ;;
	esac
done
mkdir -p "$out/summary"
data=""
trap 'rm -rf ${data:+"$data"}' EXIT
trap 'exit 130' INT TERM

files=()
failed=0

# run N PROFILE FLAG... writes one result. What ended without one is left out.
run() {
	local n=$1 profile=$2 name="$out/$2-$1"
	shift 2
	echo "goals: $profile, run $n of $runs" >&2
	"$sekali" loadtest "$profile" --output json --report "$name.html" "$@" >"$name.json" || failed=1
	if [ -s "$name.json" ]; then
		files+=("$name.json")
	else
		rm "$name.json"
		echo "goals: $profile, run $n has no result" >&2
	fi
}

for n in $(seq "$runs"); do
	data=$(mktemp -d "$out/data-XXXXXX") # what growth fills, the ones after it use
	for profile in $profiles; do
		case $profile in
		growth | reads | restart) run "$n" "$profile" --events "$events" --keep-data "$data" ;;
		idle) # also beside what is stored, if anything is
			if [ -n "$(ls -A "$data")" ]; then
				run "$n" "$profile" --keep-data "$data"
			else
				run "$n" "$profile"
			fi
			;;
		*) run "$n" "$profile" ;;
		esac
	done
	rm -rf "$data"
done

[ ${#files[@]} -gt 0 ] || exit 1
"$sekali" loadtest summary --output json "${files[@]}" >"$out/summary/goals.json" || failed=1
"$sekali" loadtest summary --output markdown "${files[@]}" >"$out/summary/goals.md" || failed=1
"$sekali" loadtest summary "${files[@]}" || failed=1
exit $failed
