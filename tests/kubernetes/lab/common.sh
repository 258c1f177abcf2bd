# What the scripts inside the cluster's namespaces share. Source this file; it runs nothing by itself.
# shellcheck shell=bash

# The control plane is machine 1 of the network of machines; node N is machine 10 + N.
control_plane=10.240.0.1

node_address() {
    echo "10.240.0.$((10 + $1))"
}

# node_pods N: the addresses of node N's Pods.
node_pods() {
    echo "10.241.$1.0/24"
}

# make_cgroup PATH: in every hierarchy of cgroup v1, or in the only one of v2.
make_cgroup() {
    local hierarchy path part
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        path=$hierarchy
        for part in ${1//\// }; do
            path=$path/$part
            mkdir -p "$path"
            # A new cpuset is empty and takes no process.
            [ ! -e "$path/cpuset.cpus" ] || [ -n "$(<"$path/cpuset.cpus")" ] || {
                cat "$path/../cpuset.cpus" >"$path/cpuset.cpus"
                cat "$path/../cpuset.mems" >"$path/cpuset.mems"
            }
        done
    done
}

# join_cgroup PATH: moves this process there.
join_cgroup() {
    local procs
    for procs in /sys/fs/cgroup/"$1"/cgroup.procs /sys/fs/cgroup/*/"$1"/cgroup.procs; do
        [ ! -e "$procs" ] || echo $$ >"$procs"
    done
}

# wait_until SECONDS TEXT COMMAND...: fails with TEXT if the command does not succeed in time.
wait_until() {
    local deadline=$((SECONDS + $1)) text=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || {
            echo "$text" >&2
            return 1
        }
        sleep 0.2
    done
}
