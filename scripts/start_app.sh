#!/usr/bin/env bash
# Starts the app. Without a display, runs it in a virtual display (Xvfb) with its own session bus, until it is stopped.
# Usage: start_app.sh PROGRAM [ARGUMENTS…]
set -euo pipefail

if [ "$(uname -s)" = Darwin ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  exec "$@"
fi
"$(dirname "$0")/setup.sh" desk
echo "app: no display found; running in a virtual display (Xvfb). Press Ctrl-C to stop" >&2
exec dbus-run-session -- xvfb-run -a -s "-screen 0 1280x900x24 -noreset" "$@"
