# Debian's programs that a node needs: unpacked, not installed, because an installation would start services. Sourced by .ci/cluster.

PACKAGES="containerd runc libseccomp2 containernetworking-plugins nftables libnftables1 libnftnl11 libjansson4 libedit2 dnsmasq-base socat libwrap0"
PACKAGES+=" buildah libgpgme11 libsubid4"                  # builds the last stage of the Dockerfile
PACKAGES+=" iptables libxtables12 libip4tc2 libip6tc2 libnfnetlink0 libnetfilter-conntrack3 ipset libipset13" # for kube-router
PACKAGES+=" prometheus"
PACKAGES+=" make musl musl-dev musl-tools"                 # builds the static binaries

unpack_packages() {
    [ -e "$DEBIAN/done" ] && return
    rm -rf "$DEBIAN"
    mkdir -p "$DEBIAN/packages"
    # shellcheck disable=SC2086 # one word for each package
    (cd "$DEBIAN/packages" && { apt-get download -qq $PACKAGES || { apt-get update -qq && apt-get download -qq $PACKAGES; }; }) 2>"$DEBIAN/log" ||
        fail "Debian's packages could not be downloaded: $(cat "$DEBIAN/log")"
    for package in "$DEBIAN"/packages/*.deb; do dpkg --extract "$package" "$DEBIAN"; done
    rm -r "$DEBIAN/packages"
    use_musl_where_it_is
    # What alternatives of Debian would link.
    for program in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -s xtables-nft-multi "$DEBIAN/usr/sbin/$program"
    done
    touch "$DEBIAN/done"
}

# Debian's musl-gcc names files below /usr.
use_musl_where_it_is() {
    local specs="usr/lib/$(uname -m)-linux-musl/musl-gcc.specs"
    sed -i "s#/usr/\(lib\|include\)/[a-z0-9_]*-linux-musl#$DEBIAN&#g" "$DEBIAN/$specs"
    rm "$DEBIAN/usr/bin/musl-gcc"
    printf '#!/bin/sh\nexec "${REALGCC:-gcc}" "$@" -specs "%s"\n' "$DEBIAN/$specs" >"$DEBIAN/usr/bin/musl-gcc"
    chmod +x "$DEBIAN/usr/bin/musl-gcc"
}
