"""What the uninstaller removes and what it leaves, on a made-up Mac: its paths lead into a folder, its tools are small scripts
that write down how they were called. No Mac has run it.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from product import IDENTIFIER, ROOT

SCRIPT = ROOT / "packaging/scripts/uninstall.sh"
LIBRARY = "Users/anna/Library"
OURS = [
    "Applications/Constellation.app/Contents/MacOS/constellation",
    f"Library/LaunchAgents/{IDENTIFIER}.agent.plist",
    f"{LIBRARY}/Application Support/{IDENTIFIER}/worker/identity.json",
    f"{LIBRARY}/Application Support/{IDENTIFIER}/coordinator/constellation.db",
    f"{LIBRARY}/Caches/{IDENTIFIER}/shaders",
    f"{LIBRARY}/HTTPStorages/{IDENTIFIER}/httpstorages.sqlite",
    f"{LIBRARY}/HTTPStorages/{IDENTIFIER}.binarycookies",
    f"{LIBRARY}/LaunchAgents/{IDENTIFIER}.agent.plist",
    f"{LIBRARY}/Logs/{IDENTIFIER}/app.log",
    f"{LIBRARY}/Preferences/{IDENTIFIER}/settings.toml",
    f"{LIBRARY}/Preferences/{IDENTIFIER}.plist",
    f"{LIBRARY}/Saved Application State/{IDENTIFIER}.savedState/data",
    f"{LIBRARY}/WebKit/{IDENTIFIER}/x",
    f"Users/bert/Library/Logs/{IDENTIFIER}/app.log",
]
FOREIGN = [
    "Applications/Other.app/x",
    f"{LIBRARY}/Caches/com.constellation.application/x",
    f"{LIBRARY}/Preferences/com.example.plist",
    "Users/clara/Documents/com.constellation.app",
]
# As the real ones answer, as far as the script asks.
TOOLS = {
    "usr/bin/stat": 'echo "$3" | sed "s|.*/||"',
    "usr/bin/id": 'if [ "$2" = bert ]; then exit 1; fi; echo 501',
    "usr/bin/pkill": "",
    "usr/sbin/pkgutil": "",
    # Two items are in the keychain.
    "bin/launchctl": 'case "$*" in *security*) [ "$(grep -c security "$CALLS")" -le 2 ];; esac',
}


class Uninstall(unittest.TestCase):
    def setUp(self):
        self.mac = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in OURS + FOREIGN:
            self.file(name, "x")
        for name, body in TOOLS.items():
            self.tool(name, f'#!/bin/sh\nCALLS="{self.mac}/calls"\necho "{name}" "$@" >>"$CALLS"\n{body}\n')
        for name in ("bin/rm", "usr/bin/find", "usr/bin/grep"):
            self.tool(name, f'#!/bin/sh\nexec {name.rpartition("/")[2]} "$@"\n')
        self.tool("path/uname", "#!/bin/sh\necho Darwin\n")
        self.tool("path/id", "#!/bin/sh\necho 0\n")
        # Every path of a Mac, and none that follows a variable.
        text = re.sub(r"(?<![\w}.~])/(?=(Applications|Library|Users|bin|tmp|usr|var)/)", f"{self.mac}/", SCRIPT.read_text())
        self.script = self.file("path/uninstall.sh", text)

    def file(self, name, text):
        path = self.mac / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def tool(self, name, text):
        self.file(name, text).chmod(0o755)

    def run_it(self, *arguments):
        environment = {"PATH": f"{self.mac}/path:/usr/bin:/bin"}
        return subprocess.run(["sh", self.script, *arguments], env=environment, capture_output=True, text=True)

    def left(self):
        return {name for name in OURS if (self.mac / name).exists()}

    def test_nothing_of_ours_is_left_and_all_of_others(self):
        ran = self.run_it()
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(ran.stdout, "Constellation is removed.\n")
        self.assertEqual(self.left(), set())
        named = [path for path in self.mac.rglob(f"*{IDENTIFIER}*") if path.relative_to(self.mac).as_posix() not in FOREIGN]
        self.assertEqual([path for path in named if "com.constellation.application" not in path.name], [])
        self.assertEqual([name for name in FOREIGN if not (self.mac / name).exists()], [])
        self.assertIn("nobody owns", ran.stderr)
        calls = (self.mac / "calls").read_text()
        for wanted in ("leave --yes", f"defaults delete {IDENTIFIER}", f"bootout gui/501/{IDENTIFIER}.agent", f"--forget {IDENTIFIER}.pkg"):
            self.assertEqual(calls.count(wanted), 1, calls)
        self.assertEqual(calls.count(f"security delete-generic-password -s {IDENTIFIER}"), 3, calls)
        self.assertNotIn("clara", calls)

    def test_a_coordinator_s_folder_is_kept_where_asked(self):
        ran = self.run_it("--keep-data")
        self.assertEqual(self.left(), {f"{LIBRARY}/Application Support/{IDENTIFIER}/coordinator/constellation.db"}, ran.stderr)
        self.assertIn("kept ", ran.stdout)

    def test_what_it_does_not_know_is_refused_before_anything_is_removed(self):
        self.assertEqual(self.run_it("--keep").returncode, 2)
        self.tool("path/id", "#!/bin/sh\necho 501\n")
        self.assertEqual(self.run_it().returncode, 1)
        self.assertEqual(self.left(), set(OURS))


if __name__ == "__main__":
    unittest.main()
