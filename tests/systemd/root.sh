#!/bin/bash
# Makes the root of a small Debian with systemd, which tests boot (tests/it/booted/machine.rs). Installs nothing on this machine.
#
#   tests/systemd/root.sh       prints the folder that holds it
#
# It is made once, in $TOWLINE_SYSTEMD or target/systemd of this repository, and nobody writes to it. Needs root and mmdebstrap. It is of the
# same release as this machine, since programs compiled here have to run there.
set -euo pipefail

# Raise it when what the root holds changes.
LAYOUT=1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOME_DIR=${TOWLINE_SYSTEMD:-$HERE/../../target/systemd}
PACKAGES=systemd,systemd-sysv,dbus,udev,procps,libpam-systemd,ca-certificates

fail() {
    echo "root.sh: $*" >&2
    exit 1
}

# shellcheck disable=SC1091 # a file of the machine's
ID='' VERSION_CODENAME='' && . /etc/os-release
[ "$ID" = debian ] || fail "this machine is no Debian"
[ "$(id -u)" = 0 ] || fail "needs root"
for tool in mmdebstrap flock; do
    command -v "$tool" > /dev/null || fail "the program $tool is missing"
done

mkdir -p "$HOME_DIR"
HOME_DIR=$(cd "$HOME_DIR" && pwd)
DEST=$HOME_DIR/$VERSION_CODENAME-$LAYOUT
exec 9> "$HOME_DIR/lock"
flock -w 300 9 || fail "another call holds $HOME_DIR/lock"
if [ -d "$DEST" ]; then # a folder with this name is complete: it got the name last
    echo "$DEST"
    exit 0
fi

WORK=$(mktemp -d "$HOME_DIR/.root.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
echo "root.sh: making a $VERSION_CODENAME with $PACKAGES" >&2
# Debian's timers have no business in a machine that lives for seconds.
mmdebstrap --quiet --variant=minbase --include="$PACKAGES" --dpkgopt=force-unsafe-io \
    --customize-hook='systemd-machine-id-setup --root="$1"' \
    --customize-hook='systemctl --root="$1" mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer' \
    "$VERSION_CODENAME" "$WORK/root" > "$WORK/log" 2>&1 || {
    tail -n 20 "$WORK/log" >&2
    fail "mmdebstrap failed; is this machine offline? A root that was made elsewhere can be used: see TOWLINE_SYSTEMD in $0"
}
chmod 755 "$WORK/root"
mv -T "$WORK/root" "$DEST"
echo "$DEST"
