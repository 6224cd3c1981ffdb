#!/bin/sh
# Boots the root $1 as the machine $2, with the empty directory $3 to write in; ends with it. To be run as the first process of namespaces of its
# own for mounts and processes: what runs, is mounted or is written here is gone with it. The network is that of the host, where the test's
# servers listen.
set -e

mount -t proc towline-test /proc
mount -t tmpfs -o mode=755 towline-test "$3"
mkdir "$3/new" "$3/work" "$3/root"
mount -t overlay -o "lowerdir=$1,upperdir=$3/new,workdir=$3/work" towline-test "$3/root"

# Control groups of its own: two machines must not meet in one, nor one and whoever runs the tests. What cannot be had is done without.
grep -E ' - cgroup2? ' /proc/self/mountinfo | while read -r _ _ _ _ group _; do
    mkdir "$group/$2" && echo $$ > "$group/$2/cgroup.procs" || true
done 2> /dev/null

keep=--keep-unit
[ ! -d /run/systemd/system ] || keep= # a host with systemd makes a scope
# Not in place of this shell: systemd-nspawn is no first process.
# shellcheck disable=SC2086 # a word or none
systemd-nspawn --quiet --directory="$3/root" --machine="$2" --boot --register=no $keep --console=pipe --settings=no \
    --resolv-conf=off --timezone=off --link-journal=no
