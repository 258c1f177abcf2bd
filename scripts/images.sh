# What the scripts that make the images of sandboxes share. Source this file after lib.sh; it runs nothing by itself.
# They set `image`, the name of the image, and `inputs`, the directory of its Dockerfile. The label
# io.casemate.tools of an image holds the hash of everything that it is made from.
# shellcheck shell=bash
# shellcheck disable=SC2154  # image, inputs, log and the variables of lib.sh are set where this is sourced

# The release of Debian that the packages are of.
release=bookworm

# The image that a registry must have for a build from the Dockerfile of casemate-tools.
base_image=debian:bookworm-slim

fail_with_log() {
    show_tail "$log"
    fail "$@"
}

# package_names: those of the list, without its comments.
package_names() {
    sed 's/#.*//' "$inputs/packages" | xargs
}

# image_label IMAGE LABEL: its value; nothing where there is no such image or label.
image_label() {
    with_deadline 10 docker image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null || true
}

image_size() {
    with_deadline 10 docker image inspect --format '{{.Size}}' "$image" | awk '{ printf "%d MB", $1 / 1000000 }'
}

# is_up_to_date HASH: whether the image was made from what has this hash. Says so.
is_up_to_date() {
    [ "$(image_label "$image" io.casemate.tools)" = "$1" ] || return 1
    say "The image $image is up to date ($(image_size))."
}

# Images of these scripts that no tag names: the one just replaced, and the layers of a failed build.
# The Engine keeps those that another image or a container still needs.
remove_untagged() {
    with_deadline 60 docker image prune --force --filter label=io.casemate.tools >/dev/null 2>&1 || true
}

registry_answers() {
    with_deadline 30 docker pull --quiet "$base_image" >/dev/null 2>&1
}

# build_from_dockerfile HASH ARGUMENT...: with further arguments for `docker build`.
build_from_dockerfile() {
    local hash=$1
    shift
    # The client has no BuildKit of its own: without the buildx plugin only the classic builder works.
    docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
    docker build --force-rm --build-arg "INPUTS=$hash" "$@" --tag "$image" "$inputs" >"$log" 2>&1 ||
        fail_with_log "docker build failed" "fix what the log names, then run this again"
}

# image_changes HASH: fills `changes` with the LABEL, ENV and CMD lines of the Dockerfile, as the options of
# `docker import` and `docker commit` that do the same.
image_changes() {
    local line
    changes=()
    while IFS= read -r line; do
        # shellcheck disable=SC2016  # $INPUTS is the Dockerfile's
        changes+=(--change "${line/'$INPUTS'/$1}")
    done < <(grep -E '^(LABEL|ENV|CMD) ' "$inputs/Dockerfile")
}
