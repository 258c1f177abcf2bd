# What scripts/cluster-lab needs of this machine, and what it builds: the programs and the root file system of its
# clusters. Source this file after lib.sh and debian.sh; it runs nothing by itself.
# shellcheck shell=bash
# shellcheck disable=SC2154  # here and nodes are set where this is sourced

sources=$here/../tests/kubernetes
kubernetes=1.34.4
release=forky
packages=containerd,runc,etcd-server,iproute2,iptables,openssl,procps
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/casemate/clusters

# The root file system and the programs take 0.8 GB, and making the programs 3 GB of Go's caches. Each node has a copy
# of the tools image.
disk_gb=6

# why_not: prints why this machine cannot run it and fails with the exit code of `check`, if that is so.
why_not() {
    local status=1
    if [ "$(uname)" != Linux ]; then
        echo "it needs Linux"
    elif ! is_root; then
        echo "it needs root, for a root file system and namespaces"
    elif ! has_apt; then
        echo "it needs Debian or Ubuntu, whose apt fetches the packages"
    elif ! command -v go >/dev/null; then
        echo "it needs Go, which makes Kubernetes' programs"
    elif ! unshare --mount --net --pid --fork true 2>/dev/null; then
        echo "it needs namespaces, which this machine does not let root make"
    elif [ "$nodes" -gt 0 ] && [ ! -d /sys/fs/cgroup/memory ]; then
        echo "its nodes need cgroup v1, the only one they were tried with; NODES=0 needs none"
    elif [ "$(free_gb)" -lt "$disk_gb" ]; then
        echo "it needs $disk_gb GB of disk, and $cache has $(free_gb)"
        status=2
    else
        status=0
    fi
    return "$status"
}

free_gb() {
    mkdir -p "$cache"
    df -Pk "$cache" | awk 'NR == 2 { print int($4 / 1000000) }'
}

need_lab() {
    local why
    why=$(why_not) || fail "no cluster here: $why" "run this on a machine that can have it"
}

# Prints the directory of the root file system, which may not exist.
root_of() {
    local hash
    hash=$({ echo "$release $packages"; declare -f build_root; cat "$here/debian.sh"; } | sha256)
    echo "$cache/root-${hash:0:12}"
}

# Prints the directory of the programs, which may not exist.
programs_of() {
    local hash
    hash=$({
        echo "$kubernetes"
        go env GOVERSION GOARCH
        declare -f build_programs
        cat "$sources"/go.* "$sources"/{pause,provisioner}/*.go "$here/build-pause-image"
    } | sha256)
    echo "$cache/programs-${hash:0:12}"
}

# Prints the directory of Helm, which may not exist.
helm_of() {
    local hash
    hash=$({ go env GOVERSION GOARCH; declare -f build_helm; cat "$sources"/helm/go.*; } | sha256)
    echo "$cache/helm-${hash:0:12}"
}

build_helm() {
    (cd "$sources/helm" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$1/made/" helm.sh/helm/v3/cmd/helm) \
        >"$1/log" 2>&1 || build_failed "$1" "go build failed"
}

# The directories are where the lab mounts something: the root is read-only.
build_root() {
    install_mmdebstrap "$1/log" || build_failed "$1" "mmdebstrap is missing and cannot be installed"
    # shellcheck disable=SC2016  # "$1" is the hook's: the directory of the root file system
    debian_root "$1" "$release" "$packages" "$1/made" \
        --customize-hook='cd "$1" && mkdir -p opt/cluster/bin opt/cluster/lab var/lib/containerd var/lib/kubelet' \
        --customize-hook='cd "$1" && mkdir -p var/lib/cni var/lib/volumes/node var/lib/volumes/shared' \
        --customize-hook='touch "$1"/etc/machine-id' >&2 ||
        build_failed "$1" "mmdebstrap failed"
}

# Without cgo the programs need no library, so they run in any root file system.
build_programs() {
    local version=k8s.io/component-base/version minor=${kubernetes#*.}
    (
        cd "$sources"
        CGO_ENABLED=0 go build -trimpath -o "$1/made/" -ldflags "-s -w -X $version.gitVersion=v$kubernetes \
            -X $version.gitMajor=${kubernetes%%.*} -X $version.gitMinor=${minor%%.*}" \
            k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-proxy,kube-scheduler,kubectl,kubelet} \
            github.com/containernetworking/plugins/plugins/{ipam/host-local,main/bridge,main/loopback} \
            ./pause ./provisioner
    ) >"$1/log" 2>&1 || build_failed "$1" "go build failed"
    "$here/build-pause-image" "$1/made/pause" >"$1/made/pause.tar"
    rm "$1/made/pause"
}

# built NAME DIRECTORY TEXT: makes DIRECTORY with the function build_NAME unless it is there. It is made under another
# name first, so that one with the right name is complete.
built() {
    local name=$1 target=$2 work
    [ ! -d "$target" ] || return 0
    # With the lock this is the only build: unfinished files are from an interrupted one.
    rm -rf --one-file-system "$cache"/building-* "$cache/$name"-*
    work=$(mktemp -d "$cache/building-XXXXXX")
    mkdir "$work/made"
    say "Make $3" >&2
    "build_$name" "$work"
    mv "$work/made" "$target"
    rm -rf "$work"
}

build() {
    lock cluster-lab >&2
    mkdir -p "$cache"
    built root "$(root_of)" "a root file system of Debian $release"
    built programs "$(programs_of)" "Kubernetes $kubernetes: about 20 minutes of one processor, the first time"
    built helm "$(helm_of)" "Helm, which renders the chart: 3 minutes"
    exec 9>&-
}

build_failed() {
    [ ! -s "$1/log" ] || show_tail "$1/log"
    fail "$2" "fix what the log names, then run this again"
}
