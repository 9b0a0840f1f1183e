# Runs a program where /etc/constellation/managed.toml is the file managed.toml in the folder $1; the machine's own /etc is seen
# as ever, and nothing of it is touched. Started in a mount namespace of its own: unshare --mount sh -c "$(cat this)" sh FOLDER PROGRAM …
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
