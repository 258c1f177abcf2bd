# How a script makes a root file system from Debian's packages. Source this file after lib.sh; it runs nothing by
# itself. Its text is part of the hash of everything that is made with it.
# shellcheck shell=bash

# debian_sources RELEASE: the sources that this machine's own apt uses for Debian, at that release. Nothing is
# printed where it has none (Ubuntu); mmdebstrap then uses its own default.
debian_sources() {
    # shellcheck disable=SC2016  # $(SITE) is apt's
    apt-get indextargets --format '$(SITE)|$(ORIGIN)|$(LABEL)' 'Created-By: Packages' 2>/dev/null | sort -u |
        while IFS='|' read -r site origin label; do
            [ "$origin" = Debian ] || continue
            case $label in
                Debian)
                    echo "deb $site $1 main"
                    echo "deb $site $1-updates main"
                    ;;
                Debian-Security) echo "deb $site $1-security main" ;;
            esac
        done
}

# How this machine's apt reaches its mirror (proxy, certificates, checks), for the apt that fills the new root.
transport_options() {
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|AllowInsecure)' || true
}

# install_mmdebstrap LOG: fails where it is missing and cannot be installed.
install_mmdebstrap() {
    ! command -v mmdebstrap >/dev/null || return 0
    is_root && has_apt && { apt-get update && apt_install mmdebstrap; } >"$1" 2>&1
}

# debian_root DIRECTORY RELEASE PACKAGES TARGET OPTION...: writes the packages (separated by commas) and what they
# need to TARGET, a tar archive or a new directory. DIRECTORY is for its own files, among them the log.
debian_root() {
    local directory=$1 release=$2 packages=$3 target=$4
    shift 4
    # apt knows whose a source is only once it has fetched its index.
    if [ -z "$(debian_sources "$release")" ] && is_root; then
        apt-get update >"$directory/log" 2>&1 || return 1
    fi
    # mmdebstrap takes the format from the contents, and apt from the name: it must not end in .sources.
    debian_sources "$release" >"$directory/sources"
    transport_options >"$directory/apt.conf"

    # As root mmdebstrap mounts /proc, /sys and /dev for the packages' scripts. A private mount namespace
    # takes them away with it, however it ends. Without root it makes one itself.
    local private_mounts=() mirror=()
    ! is_root || private_mounts=(unshare --mount)
    [ ! -s "$directory/sources" ] || mirror=("$directory/sources")
    # shellcheck disable=SC2154  # dim and plain are of lib.sh
    # force-unsafe-io: a file system that is thrown away on a crash needs no fsync per file.
    TMPDIR=$directory "${private_mounts[@]}" mmdebstrap --variant=minbase \
        --include="$packages" \
        --aptopt="$directory/apt.conf" \
        --dpkgopt=force-unsafe-io \
        "$@" \
        "$release" "$target" "${mirror[@]}" 2>&1 |
        tee "$directory/log" | sed -un "/tempdir/d; s/^I: \(.*\)\.\.\.$/      $dim\1$plain/p"
}
