# The runsc of scripts/engine-lab: gVisor's container runtime, built from the Go module that tests/gvisor pins. Source
# this file after lib.sh; it runs nothing by itself.
# shellcheck shell=bash
# shellcheck disable=SC2154  # here and cache are set where this is sourced

gvisor_sources=$here/../tests/gvisor

# runsc_of VERSION: the program that this Engine gets as its runtime `runsc`; nothing: it gets none.
runsc_of() {
    case $1 in
        28.5-gvisor) built_runsc ;;
        26.1-gvisor) echo /usr/bin/runsc ;;
    esac
}

# Prints the path of the built program, which may not exist.
built_runsc() {
    local hash
    hash=$({
        cat "$gvisor_sources"/go.*
        go env GOVERSION GOARCH
        declare -f build_runsc
    } | sha256)
    echo "$cache/runsc-${hash:0:12}"
}

# runsc_version: the date and the commit of the pinned module.
runsc_version() {
    sed -n 's/^[[:space:]]*gvisor.dev\/gvisor v0\.0\.0-\([0-9]*\)-\([0-9a-f]*\).*/\1-\2/p' "$gvisor_sources/go.mod"
}

# Without cgo the program needs no library, so it runs in any root file system. `runsc --version` names what the linker
# was told.
build_runsc() {
    local program work
    program=$(built_runsc)
    lock gvisor-build
    if [ ! -x "$program" ]; then
        # With the lock this is the only build: unfinished files are from an interrupted one.
        rm -rf "$cache"/building-runsc-* "$cache"/runsc-*
        work=$(mktemp -d "$cache/building-runsc-XXXXXX")
        say "Make gVisor's runsc: about 5 minutes of two processors, the first time"
        (
            cd "$gvisor_sources"
            CGO_ENABLED=0 go build -mod=readonly -trimpath -o "$work/runsc" \
                -ldflags "-s -w -X gvisor.dev/gvisor/runsc/version.version=$(runsc_version)" gvisor.dev/gvisor/runsc
        ) >"$work/log" 2>&1 || {
            show_tail "$work/log"
            fail "go build failed" "fix what the log names, then run this again"
        }
        mv "$work/runsc" "$program"
        rm -rf "$work"
    fi
    exec 9>&-
}
