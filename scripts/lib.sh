# Functions that the scripts share. Source this file; it runs nothing by itself.
# shellcheck shell=bash
#
# The scripts also run on macOS next to Docker Desktop, so they keep to bash 3.2 and to the options that
# both GNU and BSD tools have, except in the parts that run only on Debian.

set -euo pipefail

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' red='' plain=''
fi

# say TEXT: prints one line of progress or result.
say() {
    printf '%s\n' "$*"
}

# fail PROBLEM FIX: ends the script with the problem and what to do about it.
fail() {
    printf '%serror:%s %s\n' "$red" "$plain" "$1" >&2
    printf '  to fix it: %s\n' "$2" >&2
    exit 1
}

step_number=0
step_started=0
steps=0

# step TEXT: begins the next numbered step; `steps` holds how many there are.
step() {
    step_number=$((step_number + 1))
    step_started=$SECONDS
    printf '%s[%s/%s]%s %s\n' "$bold" "$step_number" "$steps" "$plain" "$*"
}

# step_done TEXT: ends the step with its result and the time it took.
step_done() {
    printf '      %s %s(%s s)%s\n' "$*" "$dim" "$((SECONDS - step_started))" "$plain"
}

# show_tail FILE: the end of a log, indented, on stderr.
show_tail() {
    printf '  the end of the log:\n' >&2
    tail -n 25 "$1" | sed 's/^/  | /' >&2
}

# with_deadline SECONDS COMMAND...: macOS has no timeout(1); there the command runs without a deadline.
with_deadline() {
    local seconds=$1
    shift
    if command -v timeout >/dev/null; then
        timeout --kill-after=5 "$seconds" "$@"
    else
        "$@"
    fi
}

# engine_version: prints the version of the Engine that the docker client reaches (DOCKER_HOST, then the
# docker context, then the usual socket). Fails if none answers within 5 s.
engine_version() {
    command -v docker >/dev/null || return 1
    with_deadline 5 docker version --format '{{.Server.Version}}' 2>/dev/null
}

engine_answers() {
    engine_version >/dev/null
}

need_engine() {
    engine_answers || fail "no Docker Engine answers" "run \`make setup\`, which starts one if it can"
}

# lock NAME: one run of the script at a time; the others wait here. The lock goes with file descriptor 9, so
# a process that outlives the script must not inherit it. macOS has no flock(1), and nothing there needs one.
lock() {
    command -v flock >/dev/null || return 0
    local directory=${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}
    ! is_root || directory=/var/run
    exec 9>"$directory/casemate-$1.lock"
    flock --nonblock 9 && return
    say "Waiting for another run of this script."
    flock 9
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

has_apt() {
    command -v apt-get >/dev/null
}

# apt_install PACKAGE...: as root on Debian or Ubuntu, without questions and without recommended packages.
apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null
}

# sha256: the hash of stdin.
sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum
    else
        shasum -a 256
    fi | cut -d' ' -f1
}

# need_rust: cargo and the C linker that rustc calls.
need_rust() {
    command -v cargo >/dev/null ||
        fail "cargo is missing" "install Rust with rustup (https://rustup.rs), then run this again"
    command -v cc >/dev/null && return
    if ! is_root || ! has_apt; then
        fail "no C linker (cc), which rustc needs" "install gcc and the C library's headers (Debian: gcc libc6-dev)"
    fi
    say "Install gcc and libc6-dev: rustc needs a C linker."
    { apt-get update && apt_install gcc libc6-dev; } >/dev/null ||
        fail "apt-get could not install gcc and libc6-dev" "install them by hand; apt's message is above"
}

# this_arch: this machine's architecture, as Docker names it.
this_arch() {
    arch_of "$(uname -m)"
}

# arch_of MACHINE: Docker's name for the architecture that the kernel and compilers call so.
arch_of() {
    case $1 in
    x86_64) printf 'amd64' ;;
    aarch64 | arm64) printf 'arm64' ;;
    *) printf '%s' "$1" ;;
    esac
}

# machine_of ARCH: the reverse.
machine_of() {
    case $1 in
    amd64) printf 'x86_64' ;;
    arm64) printf 'aarch64' ;;
    *) fail "the server is built for amd64 and arm64, not for $1" "name one of the two" ;;
    esac
}

# crate_version ROOT: the version of the server in ROOT/Cargo.toml.
crate_version() {
    sed -n '/^\[workspace.package\]/,/^$/ s/^version = "\(.*\)"/\1/p' "$1/Cargo.toml"
}

# image_name NAME: in lower case, which is all that a registry takes.
image_name() {
    tr '[:upper:]' '[:lower:]' <<<"$1"
}

# run COMMAND...: runs it; with DRY_RUN=1 it is printed instead.
run() {
    if [ -n "${DRY_RUN:-}" ]; then
        say "$*"
    else
        "$@"
    fi
}
