#!/usr/bin/env bash
# Starts the app; where there is no display, on one without a screen, with a session bus of its own, until it is stopped.
# Usage: start_app.sh PROGRAM [ARGUMENTS…]
set -euo pipefail

if [ "$(uname -s)" = Darwin ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  exec "$@"
fi
"$(dirname "$0")/setup.sh" desk
echo "app: there is no display, so it runs on one without a screen; stop it with Ctrl-C" >&2
exec dbus-run-session -- xvfb-run -a -s "-screen 0 1280x900x24 -noreset" "$@"
