#!/bin/bash
# Unpacks Debian packages side by side, without installing them and without root. Not for anything but tests.
#
#   tests/servers/fetch.sh [servers|clients]     prints the folder that holds them
#
#   servers   vsftpd, ProFTPD (with its TLS modules) and Pure-FTPd, which apt refuses to have together; pyftpdlib for the python3
#             of Debian; the proxies microsocks and tinyproxy
#   clients   lftp, rclone, curl and lsyncd, for tests/bench
#
# A folder is made once: usr/ with what the packages hold, libs/ with the shared libraries that this machine lacks, modules/ with
# all of ProFTPD's modules, python/ with Python's. It lies in $TOWLINE_SERVERS, or target/servers of this repository. Any number of calls may run at once.
set -euo pipefail

# Raise it when what a folder holds changes.
LAYOUT=2
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOME_DIR=${TOWLINE_SERVERS:-$HERE/../../target/servers}

set_name=${1:-servers}
case $set_name in
    servers)
        PACKAGES=(vsftpd proftpd-core proftpd-mod-crypto pure-ftpd pure-ftpd-common)
        PACKAGES+=(python3-pyftpdlib python3-openssl python3-cryptography python3-cffi-backend microsocks tinyproxy-bin)
        PROGRAMS=(usr/sbin/vsftpd usr/sbin/proftpd usr/sbin/pure-ftpd usr/bin/pure-pw usr/bin/microsocks usr/bin/tinyproxy)
        ;;
    clients)
        PACKAGES=(lftp rclone curl lsyncd)
        PROGRAMS=(usr/bin/lftp usr/bin/rclone usr/bin/curl usr/bin/lsyncd)
        LAYOUT=3
        ;;
    *)
        sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

for tool in apt-get apt-cache dpkg dpkg-query flock ldd; do
    command -v "$tool" > /dev/null || fail "the test servers are Debian packages, and this machine has no $tool"
done

mkdir -p "$HOME_DIR"
HOME_DIR=$(cd "$HOME_DIR" && pwd)
DEST=$HOME_DIR/$set_name-$LAYOUT
if [ ! -d "$DEST" ]; then
    exec 9> "$HOME_DIR/lock"
    flock -w 300 9 || fail "another call holds $HOME_DIR/lock"
fi
if [ -d "$DEST" ]; then # a folder with this name is complete: it got the name last
    echo "$DEST"
    exit 0
fi

WORK=$(mktemp -d "$HOME_DIR/.fetch.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK"

APT=(-q -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)

# Lists of our own, where the machine's are missing, stale or not to be written. What the machine has installed is still its own business.
own_lists() {
    local state=$WORK/apt
    mkdir -p "$state"/{state/lists/partial,cache/archives/partial}
    APT+=(-o "Dir::State=$state/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$state/cache" -o Debug::NoLocking=1)
    echo "fetch.sh: reading the package lists" >&2
    # One broken source of the machine's must not stop us: the downloads decide.
    apt-get "${APT[@]}" update > "$WORK/update.log" 2>&1 || true
}

known() { apt-cache "${APT[@]}" show --no-all-versions "${PACKAGES[@]}" > /dev/null 2>&1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }

# The libraries (Python's among them) that the given packages need, at any depth, and this machine does not have.
missing_libraries() {
    local -A seen=()
    local todo=("$@") found dep
    while [ ${#todo[@]} -gt 0 ]; do
        found=$(apt-cache "${APT[@]}" depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "${todo[@]}" |
            sed -n 's/^ *|\{0,1\}Depends: \(\(lib\|python3-\)[^:<]*\)$/\1/p' | sort -u)
        todo=()
        for dep in $found; do
            case $dep in *-perl | *-runtime | *-modules | *-common | libc6) continue ;; esac
            if [ -z "${seen[$dep]:-}" ] && ! installed "$dep"; then
                seen[$dep]=1
                todo+=("$dep")
            fi
        done
    done
    printf '%s\n' "${!seen[@]}"
}

download() {
    local libraries
    libraries=$(missing_libraries "${PACKAGES[@]}")
    rm -rf "$WORK/deb" && mkdir "$WORK/deb"
    # shellcheck disable=SC2086 # one word a package
    (cd "$WORK/deb" && apt-get "${APT[@]}" download "${PACKAGES[@]}" $libraries) > "$WORK/download.log" 2>&1
}

echo "fetch.sh: fetching ${PACKAGES[*]}" >&2
if ! { known && download; }; then
    own_lists
    if ! { known && download; }; then
        tail -n 5 "$WORK/update.log" "$WORK/download.log" >&2 2> /dev/null || true
        fail "cannot download ${PACKAGES[*]}; is this machine offline? The packages can be unpacked elsewhere: see TOWLINE_SERVERS in $0"
    fi
fi

TREE=$WORK/tree
mkdir -p "$TREE"/{libs,modules}
for deb in "$WORK"/deb/*.deb; do
    case $(basename "$deb") in
        lib*)
            rm -rf "$WORK/one"
            dpkg -x "$deb" "$WORK/one"
            find "$WORK/one" -path '*/pkgconfig' -prune -o -name '*.so*' -exec cp -a -t "$TREE/libs" {} +
            ;;
        *) dpkg -x "$deb" "$TREE" ;;
    esac
done
if [ -d "$TREE/usr/lib/proftpd" ]; then
    mv "$TREE"/usr/lib/proftpd/*.so "$TREE/modules/"
fi
if [ -d "$TREE/usr/lib/python3/dist-packages" ]; then
    mv -T "$TREE/usr/lib/python3/dist-packages" "$TREE/python"
    # So that not every start compiles them anew. What fails here fails again, and is said, when the server is started.
    /usr/bin/python3 -m compileall -q "$TREE/python" > /dev/null 2>&1 || true
fi

export LD_LIBRARY_PATH=$TREE/libs
for program in "${PROGRAMS[@]}"; do
    [ -x "$TREE/$program" ] || fail "$program is not in its package"
done
lacking=$(for file in "${PROGRAMS[@]/#/$TREE/}" "$TREE"/modules/*.so; do
    [ -e "$file" ] && ldd "$file" 2> /dev/null | awk -v f="$(basename "$file")" '/not found/ { print f " lacks " $1 }'
done || true)
[ -z "$lacking" ] || fail "shared libraries are missing: $lacking"

chmod -R u+w,go+rX "$TREE"
mv -T "$TREE" "$DEST"
echo "$DEST"
