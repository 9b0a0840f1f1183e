"""Tests of linking against stubs, with a small program: listed symbols link, others do not, and the imports are read back."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import macho
import stubs
from product import CACHE, MINIMUM_SYSTEM

PROGRAM = "void CFRelease(const void *); void exit(int); int main(void) { CFRelease(0); exit(0); }\n"
CORE_FOUNDATION = stubs.installed("CoreFoundation")


class Lists(unittest.TestCase):
    def test_a_list_must_be_sorted_without_duplicates(self):
        self.assertEqual(stubs.read("# words\nA _a # more\nA _b\n\nB\n"), {"A": ["_a", "_b"], "B": []})
        for wrong in ("A _b\nA _a", "A _a\nA _a", "B\nA", "A _a _b", "A\nA"):
            with self.assertRaises(ValueError, msg=wrong):
                stubs.read(wrong)

    def test_the_committed_list_can_be_read(self):
        self.assertIn("libobjc", stubs.read(stubs.LIST.read_text()))


@unittest.skipIf(sys.platform == "darwin", "a Mac links against the libraries themselves")
class Linking(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "a.c").write_text(PROGRAM)
        command = [stubs.ZIG, "-m", "ziglang", "cc", "-target", "aarch64-macos.13.0", "-fno-sanitize=undefined", "-c", "a.c", "-o", "a.o"]
        cache = {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "darwin/zig-cache")}
        subprocess.run(command, cwd=self.folder, check=True, env={**os.environ, **cache})

    def link(self, text):
        """Links the program against stubs. Returns the linker's error output."""
        sdk = self.folder / "MacOSX.sdk"
        stubs.write(sdk, stubs.read(text), stubs.system_of_zig(stubs.ZIG))
        arguments = ["-arch", "arm64", "-platform_version", "macos", MINIMUM_SYSTEM, MINIMUM_SYSTEM, "-syslibroot", sdk]
        arguments += ["-framework", "CoreFoundation", "-lSystem", "a.o", "-o", "a.out"]
        return subprocess.run([stubs.linker(), "-flavor", "darwin", *arguments], cwd=self.folder, capture_output=True, text=True).stderr

    def test_a_program_imports_what_is_listed(self):
        self.assertEqual(self.link("CoreFoundation _CFRelease\n"), "")
        data = (self.folder / "a.out").read_bytes()
        self.assertTrue(macho.is_arm64(data))
        self.assertEqual(macho.minimum_system(data), MINIMUM_SYSTEM)
        expected = {(CORE_FOUNDATION, "_CFRelease"), (stubs.SYSTEM, "_exit")}
        self.assertLessEqual(expected, macho.imports(data))
        self.assertEqual({library for library, _ in macho.imports(data)}, {CORE_FOUNDATION, stubs.SYSTEM})

    def test_a_misspelled_symbol_fails_to_link(self):
        self.assertIn("undefined symbol: _CFRelease", self.link("CoreFoundation _CFReleese\n"))

    def test_a_list_that_differs_from_the_imports_is_refused(self):
        self.link("CoreFoundation _CFRelease\n")
        program = self.folder / "a.out"
        stubs.check({"CoreFoundation": ["_CFRelease"]}, [program])
        for symbols in (["_CFRelease", "_CFRetain"], []):
            with self.assertRaises(SystemExit):
                stubs.check({"CoreFoundation": symbols}, [program])


if __name__ == "__main__":
    unittest.main()
