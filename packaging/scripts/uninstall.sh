#!/bin/sh
# Takes Constellation off this Mac and leaves nothing behind: sudo sh uninstall.sh [--keep-data]
# It leaves the cluster, ends the app, and removes the app, its launch agent, its receipt and, of each person, its folders, logs,
# login items and secrets. With --keep-data the coordinator's folder stays (its jobs, data and models). Folders that somebody
# named by --data-dir, downloads that the Hugging Face hub's tools share (~/.cache/huggingface) and the MDM's profile also stay.
#
# Whatever lies in a person's home is removed by a process of that person, never by root: the person can put a link in the place of
# any folder there, at any moment, and root would follow it into the folders of others.
set -u

app=/Applications/Constellation.app
label=com.constellation.app.agent
identifier=com.constellation.app

main() {
  case "${1:-}" in
    "" | --keep-data) keep=${1:-} ;;
    *) fail 2 "usage: sudo sh uninstall.sh [--keep-data]" ;;
  esac
  [ "$(uname -s)" = Darwin ] ||
    fail 1 "uninstall: this is for a Mac; elsewhere remove the program and run 'constellation leave --yes' before"
  [ "$(id -u)" -eq 0 ] || fail 1 "uninstall: run it as root: sudo sh $0"

  # Processes of other people can't always read where root is.
  cd / || exit 1
  # Root's own is there where somebody ran the command by sudo.
  for home in /Users/* /var/root; do
    if was_used && find_person; then
      remove_of_person
    fi
  done
  /bin/rm -f "/Library/LaunchAgents/$label.plist"
  # A login item that the app registered itself lies in the app and goes with it.
  /bin/rm -rf "$app"
  /usr/sbin/pkgutil --forget "$identifier.pkg" >/dev/null 2>&1
  echo "Constellation is removed."
}

# All that is named after the app and may be in the home folder, a path a line.
paths() {
  for folder in "Application Support" Caches HTTPStorages LaunchAgents Logs Preferences "Saved Application State" WebKit; do
    for name in "$identifier" "$identifier.plist" "$identifier.savedState" "$identifier.binarycookies" "$label.plist"; do
      echo "$home/Library/$folder/$name"
    done
  done
}

was_used() {
  paths | while IFS= read -r path; do
    if [ -e "$path" ]; then echo used; fi
  done | /usr/bin/grep -q used
}

# Whose the home folder is: $person and $user. Fails, and says why, where its folders can't be removed as that person.
find_person() {
  person=$(/usr/bin/stat -f %Su "$home")
  name=${home##*/}
  if [ -L "$home" ]; then
    echo "uninstall: $home is a link: nothing is removed there" >&2
    return 1
  fi
  if ! user=$(/usr/bin/id -u "$person" 2>/dev/null); then
    echo "uninstall: the account that owned $home is gone, and the cluster is not told: its folders stay, remove $home by hand" >&2
    return 1
  fi
  # Such as /Users/Shared, where everybody may put folders.
  if [ "$user" -eq 0 ] && [ "$home" != /var/root ]; then
    echo "uninstall: $home is root's and no home of root: nothing is removed there" >&2
    return 1
  fi
  # An account's folder may have another name, but not that of another account.
  if named=$(/usr/bin/id -u "$name" 2>/dev/null) && [ "$named" -ne "$user" ]; then
    echo "uninstall: $home belongs to $person, not to $name: nothing is removed there" >&2
    return 1
  fi
}

remove_of_person() {
  /bin/launchctl bootout "gui/$user/$label" 2>/dev/null
  /usr/bin/pkill -x -u "$user" ConstellationApp
  # The coordinator hears of it, and the key that seals the rows is destroyed.
  as_person "$app/Contents/MacOS/constellation" leave --yes
  # The system keeps preferences in memory and would write them again.
  as_person /usr/bin/defaults delete "$identifier" >/dev/null 2>&1
  # The Keychain's items go by the app's name; one call removes one.
  while as_person /usr/bin/security delete-generic-password -s "$identifier" >/dev/null 2>&1; do :; done
  paths | while IFS= read -r path; do
    if [ "$keep" = --keep-data ] && [ -d "$path/coordinator" ]; then
      with_rights_of_person /usr/bin/find "$path" -mindepth 1 -maxdepth 1 ! -name coordinator -exec /bin/rm -rf {} +
      echo "kept $path/coordinator"
    elif [ -e "$path" ] || [ -L "$path" ]; then
      with_rights_of_person /bin/rm -rf "$path" ||
        echo "uninstall: $person can't remove all of $path: look at what is left there, and remove it" >&2
    fi
  done
}

# In the person's session too: for what speaks to the Keychain and to other services of theirs.
as_person() {
  /bin/launchctl asuser "$user" /usr/bin/sudo -u "$person" -H "$@" </dev/null
}

with_rights_of_person() {
  /usr/bin/sudo -u "$person" -H "$@" </dev/null
}

fail() {
  echo "$2" >&2
  exit "$1"
}

main "$@"
