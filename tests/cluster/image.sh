# The images of the node: no registry is asked. Sourced by .ci/cluster.

# What holds the namespaces of a pod: waits to be ended, and reaps.
make_pause_image() {
    [ -e "$CACHE/pause.tar" ] && return
    local folder
    folder=$(mktemp -d)
    cat >"$folder/pause.c" <<'C'
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int signal) { exit(0); }
static void reap(int signal) { while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
C
    with_programs musl-gcc -Os -static -s -o "$folder/pause" "$folder/pause.c"
    printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' >"$folder/Dockerfile"
    build "$folder" cluster.test/pause:1 "$CACHE/pause.tar"
    rm -r "$folder"
}

# operator_image CHECKOUT VERSION: by the last stage of its Dockerfile. The stage before it, which needs an image of Rust, is replaced by a
# folder with its result: .ci/static-binary is what it runs.
operator_image() {
    local result=$STATE/build
    mkdir -p "$result/out" "$result/etc/ssl/certs"
    cp "$CACHE/dist/"* "$result/out/"
    cp /etc/ssl/certs/ca-certificates.crt "$result/etc/ssl/certs/"
    build "$1" "$REPOSITORY:$2" "$STATE/operator.tar" --build-context "build=$result" --build-arg "VERSION=$2"
}

# build CHECKOUT NAME ARCHIVE [OPTION…]
build() {
    local checkout=$1 name=$2 archive=$3 store options
    shift 3
    store=$(mktemp -d "$CACHE/buildah.XXXXXX")
    options="--signature-policy $store/policy.json"
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$store/policy.json"
    local buildah="buildah --root $store/root --runroot $store/runroot --storage-driver vfs"
    rm -f "$archive"
    with_programs unshare --mount bash -euo pipefail -c "
        # Some of its files have fixed places in these folders.
        for folder in /etc /var/lib; do
            mkdir -p $store/up\$folder $store/work\$folder
            mount -t overlay overlay -o lowerdir=\$folder,upperdir=$store/up\$folder,workdir=$store/work\$folder \$folder
        done
        $buildah bud --quiet $options --isolation chroot $* --tag $name $checkout >/dev/null
        $buildah push --quiet $options $name docker-archive:$archive:$name"
    rm -rf "$store"
}
