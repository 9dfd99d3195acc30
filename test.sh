#!/usr/bin/env bash
# All tests and checks of the repository, in one command. See ./test.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<-'TEXT'
	Usage: ./test.sh [--quick | --long]

	Runs every test and check of every module of this repository, in about 15 minutes
	on two cores. It goes on after a failure, and exits with 1 if there was any.

	It first says what is missing on this machine: a C compiler for the race detector,
	Chromium, and for the tests against others Node, Python's websockets,
	libwebsockets, nginx and HAProxy. Root installs that with apt-get; anybody else is
	asked. npm packages go into interop/testdata/node/node_modules.

	  --quick  gofmt, go vet, and the tests of the root module under the race detector,
	           in two minutes; installs nothing
	  --long   everything, then what takes hours: each fuzz target for a minute, and ci/long
	  --help   this text

	The parts can be run by themselves: ci/setup, ci/lint, ci/test, ci/long.

	Environment:
	  FUZZTIME=30s          how long to fuzz each target; default 5s
	  CHANWS_NO_BROWSER=1   leave out the tests in a browser
	  CHANWS_NO_PEERS=1     leave out the tests against Node, Python, libwebsockets,
	                        nginx and HAProxy
	  CI=true               missing programs are a failure
	TEXT
}

scripts=(setup lint test)
case ${1:-} in
--quick) scripts=(quick) ;;
--long) scripts=(setup lint test long); export FUZZTIME=${FUZZTIME:-60s} ;;
--help | -h) usage; exit 0 ;;
'') ;;
*) usage >&2; exit 2 ;;
esac
if (($# > 1)); then
	usage >&2
	exit 2
fi

source ci/steps
for script in "${scripts[@]}"; do
	"ci/$script" || report FAIL 0 "ci/$script ended early"
done
summary
