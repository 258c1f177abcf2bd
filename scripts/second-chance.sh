# A second chance for integration tests that fail among others. Source this file after lib.sh; it runs nothing by itself.
# shellcheck shell=bash
#
# Many integration tests measure (memory, CPU time, how long an answer takes) while other tests use the same
# processors and the same Engine. One that fails among others and passes alone is named as flaky: it needs work, but
# the change under test is not refused for it. A test that fails twice, or more than `most_flaky` failures, are.

most_flaky=3

# failed_tests: the names in the last list of failures of a test program, whose output is stdin.
failed_tests() {
    awk '/^failures:$/ { n = 0; listed = 1; next }
        /^test result:/ { listed = 0 }
        listed && /^    [a-z0-9_:]+$/ { names[n++] = $1 }
        END { for (i = 0; i < n; i++) print names[i] }'
}

# second_chance OUTPUT COMMAND...: runs the tests that failed in OUTPUT, a test program's, alone with COMMAND. Sets
# `flaky` to their names, or fails. COMMAND is the test program, or a cargo that passes options on to it.
second_chance() {
    local output=$1 name
    shift
    flaky=()
    while read -r name; do flaky+=("$name"); done < <(failed_tests <"$output")
    [ "${#flaky[@]}" -gt 0 ] && [ "${#flaky[@]}" -le "$most_flaky" ] || return 1
    say "Again, alone: ${flaky[*]}"
    RUST_TEST_THREADS=1 "$@" --exact "${flaky[@]}" 2>&1 | tee "$output.again" || return 1
    # A filter that matches nothing is no failure.
    grep -q "^test result: ok. ${#flaky[@]} passed" "$output.again"
}

# say_flaky: names them.
say_flaky() {
    say "FLAKY, failed among other tests and passed alone: ${flaky[*]}"
}
