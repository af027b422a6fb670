#!/bin/bash
# deps/install.sh [build|test|lint|bench|examples]...
#
# Installs the Debian packages that are missing, and only those: as root, or through sudo where it asks for no
# password. With neither it prints the one command to run and exits 1. When everything is there it prints nothing and
# never touches the network. Nothing is vendored; deps/README.md says what each library is for.
set -u

build="gcc make libc6-dev libev-dev libhiredis-dev libjemalloc-dev libxxhash-dev"
test="procps iproute2 util-linux tcl redis-server redis-tools python3-redis libcmocka-dev clang libclang-rt-14-dev nodejs valgrind"
lint="clang-format clang-tidy cppcheck"
examples="gcc make libhiredis-dev postgresql python3-psycopg2 python3-redis nodejs"
bench="gcc libev-dev libjemalloc-dev redis-server redis-tools memcached strace tcl"

wanted=""
for group in "${@:-build}"; do
    case "$group" in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test"
        # NodeSource's nodejs brings an npm of its own and refuses Debian's.
        command -v npm >/dev/null 2>&1 || wanted="$wanted npm" ;;
    lint) wanted="$wanted $lint" ;;
    bench) wanted="$wanted $bench" ;;
    examples) wanted="$wanted $examples"
        command -v npm >/dev/null 2>&1 || wanted="$wanted npm" ;;
    *) echo "usage: deps/install.sh [build|test|lint|bench|examples]..." >&2; exit 2 ;;
    esac
done

missing=""
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
    [ "$status" = installed ] && continue
    # A gcc or node that came another way serves as well.
    case "$package" in
    gcc | make | clang) command -v "$package" >/dev/null 2>&1 && continue ;;
    nodejs) command -v node >/dev/null 2>&1 && continue ;;
    esac
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -z "$missing" ] && exit 0

command="apt-get install -y --no-install-recommends$missing"
# Somebody else may be installing at this moment.
wait_for_lock="-o DPkg::Lock::Timeout=300"
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "Some packages are missing. As root, run:" >&2
    echo "    apt-get update && $command" >&2
    exit 1
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# policy-rc.d's answer 101 keeps the distribution's redis-server from being started by its installation; where
# somebody has put such a file there already, theirs stays.
guard=""
if $sudo test -d /usr/sbin && ! $sudo test -e /usr/sbin/policy-rc.d; then
    guard=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$guard" >/dev/null && $sudo chmod 755 "$guard"
    trap '$sudo rm -f "$guard"' EXIT
fi
run() { $sudo env DEBIAN_FRONTEND=noninteractive "$@"; }
# The lists may be absent (a fresh container) or stale: try with what is there, then with new ones. A mirror that does not answer, or
# somebody else who is updating the lists, for whose lock apt-get does not wait, is given a little time.
run $command $wait_for_lock >/dev/null 2>&1 && exit 0
for pause in 5 15 30 0; do
    updated=1
    run apt-get update -o Acquire::Retries=3 >/dev/null || updated=0
    run $command $wait_for_lock -o Acquire::Retries=3 && exit 0
    sleep "$pause"
done
[ "$updated" = 1 ] || echo "deps: apt-get update failed" >&2
echo "deps: could not install$missing" >&2
exit 1
