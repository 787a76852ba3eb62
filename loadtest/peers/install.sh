#!/bin/sh
# Installs the peers that are asked for and not there yet: PostgreSQL and Redis
# from Debian's packages, NATS with the Go tools. None of them is started as a
# service: bench-peers runs its own.
#
# usage: install.sh PEERS DIRECTORY-FOR-NATS
set -eu

peers=$1
tools=$2
nats_version=v2.15.2
missing=""

wanted() { # wanted NAME: is it in the list?
	case ",$peers," in *,all,* | *",$1"*) return 0 ;; esac
	return 1
}

if wanted postgres && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
	missing="$missing postgresql"
fi
if wanted redis && ! command -v redis-server >/dev/null 2>&1; then
	missing="$missing redis-server"
fi

# Debian starts a service when its package is installed, unless this file says
# no; it is there only meanwhile.
policy=/usr/sbin/policy-rc.d
install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y -qq --no-install-recommends $missing
}

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "peers: missing:$missing; this is not Debian, please install them yourself, or leave them out with PEERS=" >&2
		exit 1
	elif [ "$(id -u)" -ne 0 ]; then
		echo "peers: missing:$missing; run this as root to install them, or leave them out with PEERS=" >&2
		exit 1
	fi
	echo "peers: installing$missing"
	install_packages
fi

if wanted nats && ! "$tools/nats-server" --version 2>/dev/null | grep -q "$nats_version"; then
	echo "peers: installing nats-server $nats_version"
	mkdir -p "$tools"
	GOBIN=$tools go install "github.com/nats-io/nats-server/v2@$nats_version"
fi
