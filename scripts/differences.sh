# Tests that are known not to hold with a profile. Source this file after second-chance.sh; it runs nothing by itself.
# shellcheck shell=bash

differences=$here/../tests/gvisor/differences.txt

# is_high: whether sandboxes of the tests run on gVisor.
is_high() {
    [ "${CASEMATE_PROFILE:-}" = high ]
}

# known_differences: their names.
known_differences() {
    sed -n 's/^\([a-z0-9_:]*\): .*/\1/p' "$differences" | sort
}

# differs_as_known OUTPUT COMMAND...: whether of the tests in OUTPUT, a test program's, just those failed that are known
# to. Others have a second chance with COMMAND, the test program.
differs_as_known() {
    local output=$1 failed run unknown name passed=() again=()
    shift
    run=$(sed -n 's/^test \([a-z0-9_:]*\) \.\.\. .*/\1/p' "$output" | sort)
    failed=$(failed_tests <"$output" | sort)
    while read -r name; do
        [ -z "$name" ] || passed+=("$name")
    done < <(comm -23 <(comm -12 <(known_differences) <(printf '%s\n' "$run")) <(printf '%s\n' "$failed"))
    while read -r name; do
        [ -z "$name" ] || again+=("$name")
    done < <(comm -13 <(known_differences) <(printf '%s\n' "$failed"))
    unknown=${#again[@]}
    say "      $(comm -12 <(known_differences) <(printf '%s\n' "$failed") | grep -c .) failed as $(basename "$differences") says, $unknown others"
    if [ "${#passed[@]}" -gt 0 ]; then
        say "      passed, although known as different: ${passed[*]}"
        return 1
    fi
    [ "$unknown" -gt 0 ] || return 0
    [ "$unknown" -le "$most_flaky" ] || return 1
    RUST_TEST_THREADS=1 "$@" --exact "${again[@]}" >"$output.again" 2>&1 || return 1
    say "      FLAKY, failed among other tests and passed alone: ${again[*]}"
}
