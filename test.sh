#!/usr/bin/env bash
# All tests and checks of the repository, in one command. See ./test.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<-'EOF'
	Usage: ./test.sh [--long]

	Runs every test and check of every module of this repository, from any
	directory, on a machine that has Go, git and apt. What else is needed (a C
	compiler for the race detector, Chromium, and for the tests against others Node,
	Python's websockets, libwebsockets, nginx and HAProxy) is installed through
	apt-get and npm, if that is allowed. It goes on after a failure, and exits with 1
	if there was any.

	  --long   fuzz each target for a minute instead of 5 seconds; run the lifecycle
	           tests 200 times at GOMAXPROCS 1, 2 and 8, shake a million cells of
	           their table (an hour or two), run 5000 scripts of coincidences, send
	           large messages to the other libraries with every combination of
	           compression parameters, and keep 10000 connections coming and going
	           for ten minutes (needs ulimit -Hn 11200):
	             go test -race -run 'TestLifecycle(InMemory|Over)' -count=200 -cpu=N .
	             go test -run TestLifecycleShaken -cells=1000000 -timeout=0 .
	             go test -race -run Coincid -coincidences=5000 -timeout=0 ./internal/pump
	             cd interop && go test -run LargeCompressed -everycombination -timeout=0 .
	             go test ./internal/soak -conns=10000 -duration=10m -timeout=30m
	  --help   this text

	Environment:
	  FUZZTIME=30s          how long to fuzz each target
	  CHANWS_NO_BROWSER=1   leave out the tests in a browser
	  CHANWS_NO_PEERS=1     leave out the tests against Node, Python, libwebsockets,
	                        nginx and HAProxy
	EOF
}

# 0.8.2 is the release for Go 1.26.
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
platforms=(windows/amd64 darwin/arm64 linux/386 linux/arm64)

long=false
for argument; do
	case $argument in
	--long) long=true ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
fuzztime=${FUZZTIME:-$([[ $long == true ]] && echo 60s || echo 5s)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
exec </dev/null

passed=0 failed=0 skipped=0
summary=()

# report STATUS SECONDS NAME [REASON] records a step and prints its line.
report() {
	local line
	line=$(printf '%-7s %4ss  %s%s' "$1" "$2" "$3" "${4:+ ($4)}")
	echo "$line"
	summary+=("$line")
	case $1 in
	ok) passed=$((passed + 1)) ;;
	FAIL) failed=$((failed + 1)) ;;
	skipped) skipped=$((skipped + 1)) ;;
	esac
}

# step NAME COMMAND... runs a step; its output is shown only if it fails.
step() {
	local name=$1 start=$SECONDS status
	shift
	set +e
	(set -e; "$@") >"$work/log" 2>&1
	status=$?
	set -e
	if ((status == 0)); then
		report ok $((SECONDS - start)) "$name"
		return
	fi
	report FAIL $((SECONDS - start)) "$name"
	# Of the output of go test -v, the tests and packages that passed are left out.
	awk '
		/^=== (RUN|PAUSE|CONT|NAME)/ || /^ *--- PASS: / || /^PASS$/ { next }
		/^(ok|\?)[ \t]/ { package = ""; next }
		{ package = package "    " $0 "\n" }
		/^FAIL[ \t]/ { printf "%s", package; package = "" }
		END { printf "%s", package }' "$work/log"
	echo "    exit code $status of: $*"
}

# within DIRECTORY COMMAND... runs a command there.
within() {
	cd "$1"
	shift
	"$@"
}

# install PACKAGE... installs packages of Debian. Servers among them are not started.
install() {
	local root=() policy=/usr/sbin/policy-rc.d
	if ((EUID != 0)); then
		root=(sudo -n)
	fi
	"${root[@]}" apt-get update
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy"
		"${root[@]}" chmod +x "$policy"
		# The step is a shell of its own. The array is gone at its end.
		trap "${root[*]} rm -f $policy" EXIT
	fi
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# may_install tells whether install can work.
may_install() {
	command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# --- What the tests need ---------------------------------------------------------

race=-race
if [[ $(go env CGO_ENABLED) == 0 ]] || ! command -v "$(go env CC)" >/dev/null; then
	if may_install; then
		step 'install a C compiler for the race detector' install gcc libc6-dev
		export CGO_ENABLED=1
	else
		race=
		report skipped 0 'race detector' 'needs gcc and libc6-dev, and neither root nor sudo is here to install them'
	fi
fi

if [[ ${CHANWS_NO_BROWSER:-} == 1 ]]; then
	report skipped 0 'tests in a browser' 'CHANWS_NO_BROWSER=1'
elif ! command -v chromium >/dev/null; then
	if may_install; then
		step 'install Chromium' install chromium
	else
		export CHANWS_NO_BROWSER=1
		report skipped 0 'tests in a browser' 'needs chromium, and neither root nor sudo is here to install it with apt-get'
	fi
fi

# The programs that module interop runs against. Here a lack is a failure: only
# CHANWS_NO_PEERS leaves those tests out.
missing_peers() {
	local packages=()
	command -v node >/dev/null || packages+=(nodejs)
	command -v npm >/dev/null || packages+=(npm)
	/usr/bin/python3 -c 'import websockets' 2>/dev/null || packages+=(python3 python3-websockets)
	command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || packages+=(nginx-light)
	command -v haproxy >/dev/null || [[ -x /usr/sbin/haproxy ]] || packages+=(haproxy)
	command -v cc >/dev/null || packages+=(gcc libc6-dev)
	[[ -e /usr/include/libwebsockets.h ]] || packages+=(libwebsockets-dev)
	echo "${packages[@]}"
}

# node_packages installs what package-lock.json says, unless it is there already.
node_packages() {
	cd interop/testdata/node
	local installed=node_modules/.from-lock
	cmp -s package-lock.json "$installed" && return
	npm ci --ignore-scripts --no-audit --no-fund
	cp package-lock.json "$installed"
}

if [[ ${CHANWS_NO_PEERS:-} == 1 ]]; then
	report skipped 0 'tests against other peers' 'CHANWS_NO_PEERS=1'
else
	export PATH=$PATH:/usr/sbin
	read -ra missing <<<"$(missing_peers)"
	if ((${#missing[@]})) && may_install; then
		step "install ${missing[*]}" install "${missing[@]}"
		read -ra missing <<<"$(missing_peers)"
	fi
	if ((${#missing[@]})); then
		export CHANWS_NO_PEERS=1
		report FAIL 0 'tests against other peers' "needs ${missing[*]}; CHANWS_NO_PEERS=1 leaves these tests out"
	else
		step 'npm ci for the peers of Node' node_packages
	fi
fi

# --- Checks ----------------------------------------------------------------------

modules=$(find . -name go.mod -not -path '*/testdata/*' -not -path './.git/*' -exec dirname {} \; | sort)

formatted() {
	local files
	files=$(gofmt -l .)
	[[ -z $files ]] || { echo "gofmt would change:"; echo "$files"; return 1; }
}

step 'gofmt' formatted
for module in $modules; do
	# Without the workspace: each module must do by itself.
	step "go mod tidy, $module" within "$module" env GOWORK=off go mod tidy -diff
	step "go vet, $module" within "$module" env GOWORK=off go vet ./...
	step "staticcheck, $module" within "$module" env GOWORK=off go run "$staticcheck" ./...
done

# --- Tests -----------------------------------------------------------------------

# go_test DIRECTORY ARGUMENT... runs tests and keeps the output for the totals.
go_test() {
	cd "$1"
	shift
	go test -v -vet=off -count=1 -timeout=10m "$@" | tee -a "$work/tests"
}

touch "$work/tests"
for module in $modules; do
	step "go test $race, $module" go_test "$module" $race -shuffle=on ./...
done

# The other word size, for the alignment of what is atomic and for sizes in an int.
runs_386() {
	printf 'package main\n\nfunc main() {}\n' >"$work/386.go"
	[[ $(go env GOHOSTARCH) == amd64 ]] && GOARCH=386 CGO_ENABLED=0 go run "$work/386.go" 2>/dev/null
}
if runs_386; then
	step 'go test with GOARCH=386, .' env GOARCH=386 CGO_ENABLED=0 go test -vet=off -count=1 ./...
else
	report skipped 0 'go test with GOARCH=386' 'this machine does not run it'
fi

for platform in "${platforms[@]}"; do
	for module in $modules; do
		step "go build and vet for $platform, $module" within "$module" \
			env GOOS="${platform%/*}" GOARCH="${platform#*/}" CGO_ENABLED=0 sh -c 'go build ./... && go vet ./...'
	done
done

# find_fuzz_targets appends module, package and name of each target to a file.
find_fuzz_targets() {
	cd "$1"
	go test -vet=off -list '^Fuzz' ./... | tee /dev/stderr | awk -v module="$1" '
		/^Fuzz/ { names[++n] = $1 }
		/^ok/ { for (i = 1; i <= n; i++) print module, $2, names[i]; n = 0 }' >>"$work/targets"
}
touch "$work/targets"
for module in $modules; do
	step "find the fuzz targets, $module" find_fuzz_targets "$module"
done
# Minimizing what is interesting would take the rest of the time: which lines of a
# connection run is never quite the same twice.
#
# On a busy machine go test may take the end of the time for a failure: without a failing
# input it gets a second chance.
fuzz() { # MODULE PACKAGE TARGET
	local run=(within "$1" go test -vet=off -run='^$' -fuzz="^$3\$" -fuzztime="$fuzztime" -fuzzminimizetime=10x "$2")
	if ("${run[@]}") >"$work/fuzz" 2>&1; then
		return
	fi
	cat "$work/fuzz"
	grep -q 'context deadline exceeded' "$work/fuzz" && ! grep -q 'Failing input' "$work/fuzz" && ("${run[@]}")
}
while read -r module package target; do
	step "fuzz $target for $fuzztime, ${package#github.com/chanws/}" fuzz "$module" "$package" "$target"
done <"$work/targets"

# Without the race detector there is time for more cells than go test ./... runs.
if [[ $long == false ]]; then
	step 'shake 5000 cells of the lifecycle table' \
		go test -vet=off -run=TestLifecycleShaken -count=1 -timeout=10m . -cells=5000
fi

# The other two wait for somebody: their tests run them.
for example in callback dispatch echo pipeline selectloop; do
	step "go run ./examples/$example" timeout 120 go run "./examples/$example"
done

# Only a gross regression fails: a ratio below half of its goal, or of the Reach that bench/rows.go
# gives for the row; docs/performance.md says why.
step 'go run ./bench -short' timeout 180 go run ./bench -short

if [[ $long == true ]]; then
	for cpus in 1 2 8; do
		step "lifecycle tests 200 times, GOMAXPROCS=$cpus" \
			go test $race -vet=off -run='TestLifecycle(InMemory|Over)' -count=200 -cpu="$cpus" -timeout=90m .
	done
	step 'shake a million cells of the lifecycle table' \
		env GOGC=800 go test -vet=off -run=TestLifecycleShaken -count=1 -timeout=0 . -cells=1000000
	step '5000 scripts of coincidences' \
		go test $race -vet=off -run=Coincid -count=1 -timeout=0 ./internal/pump -coincidences=5000
	step 'large compressed messages in every combination' \
		go -C interop test -vet=off -run=LargeCompressed -count=1 -timeout=0 . -everycombination
	step 'soak, 10000 connections for 10 minutes' \
		go test -vet=off -count=1 -timeout=30m ./internal/soak -conns=10000 -duration=10m
fi

# --- Summary ---------------------------------------------------------------------

# tests STATUS counts the tests and subtests that ended so.
tests() { grep -Ec "^ *--- $1: " "$work/tests" || true; }

echo
echo "Summary after $((SECONDS / 60)) min $((SECONDS % 60)) s:"
printf '  %s\n' "${summary[@]}"
echo "  Go tests and subtests: $(tests PASS) ok, $(tests FAIL) failing, $(tests SKIP) left out; the line below counts steps."
echo
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
