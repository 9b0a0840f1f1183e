#!/bin/sh
# Takes Constellation off this Mac and leaves nothing behind: sudo sh uninstall.sh [--keep-data]
# It leaves the cluster, ends the app, and removes the app, its launch agent, its receipt and, of each person, its folders and
# its secrets. With --keep-data the coordinator's folder stays (its jobs, data and models).
set -u

app=/Applications/Constellation.app
label=com.constellation.app.agent
identifier=com.constellation.app

case "${1:-}" in
  "" | --keep-data) keep=${1:-} ;;
  *)
    echo "usage: sudo sh uninstall.sh [--keep-data]" >&2
    exit 2
    ;;
esac
if [ "$(uname -s)" != Darwin ]; then
  echo "uninstall: this is for a Mac; elsewhere remove the program and run 'constellation leave --yes' before" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "uninstall: run it as root: sudo sh $0" >&2
  exit 1
fi

for home in /Users/*; do
  [ -d "$home/Library/Application Support/$identifier" ] || continue
  person=$(/usr/bin/stat -f %Su "$home")
  user=$(/usr/bin/id -u "$person") || continue
  /bin/launchctl bootout "gui/$user/$label" 2>/dev/null
  /usr/bin/pkill -x -u "$user" ConstellationApp
  # The coordinator hears of it, and the key that seals the rows is destroyed.
  /bin/launchctl asuser "$user" /usr/bin/sudo -u "$person" -H "$app/Contents/MacOS/constellation" leave --yes
  for folder in "Application Support" Caches Preferences Logs WebKit "Saved Application State"; do
    for name in "$identifier" "$identifier.plist" "$identifier.savedState"; do
      path="$home/Library/$folder/$name"
      if [ "$keep" = --keep-data ] && [ "$folder" = "Application Support" ] && [ -d "$path/coordinator" ]; then
        /usr/bin/find "$path" -mindepth 1 -maxdepth 1 ! -name coordinator -exec /bin/rm -rf {} +
        echo "kept $path/coordinator"
      else
        /bin/rm -rf "$path"
      fi
    done
  done
  # The Keychain's items go by the app's name; one call removes one.
  while /bin/launchctl asuser "$user" /usr/bin/sudo -u "$person" -H \
    /usr/bin/security delete-generic-password -s "$identifier" >/dev/null 2>&1; do :; done
done
/bin/rm -f "/Library/LaunchAgents/$label.plist"
/bin/rm -rf "$app"
/usr/sbin/pkgutil --forget "$identifier.pkg" >/dev/null 2>&1
echo "Constellation is removed."
