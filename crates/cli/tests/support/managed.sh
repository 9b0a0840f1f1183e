# Runs a program that sees the file managed.toml of the folder $1 as
# /etc/constellation/managed.toml. The rest of /etc stays as it is, and the machine's own /etc is
# not changed. Start this in a mount namespace: unshare --mount sh -c "$(cat this)" sh FOLDER
# PROGRAM …
set -e
mkdir -p "$1/etc"
mount --bind /etc "$1/etc"
mount -t tmpfs tmpfs /etc
ln -s "$1"/etc/* /etc/
rm -f /etc/constellation
mkdir /etc/constellation
cp "$1/managed.toml" /etc/constellation/
shift
exec "$@"
