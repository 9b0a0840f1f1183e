#!/usr/bin/env python3
"""Tests of check_house.py and check_layers.py: each rule reports violations and accepts valid input."""

import unittest

import check_house
import check_layers

DENY = """
deny = [
    { crate = "burn", wrappers = ["engine"], reason = "one crate knows burn" },
    { crate = "engine", wrappers = ["cli"] },
    # { crate = "tokio", wrappers = ["nobody"] },
    { crate = "data", wrappers = ["engine", "cli"] },
]
"""


class House(unittest.TestCase):
    def reasons(self, path, text):
        return [problem.split(": ", 1)[1] for problem in check_house.problems(path, text)]

    def test_a_file_ends_before_line_400(self):
        self.assertEqual(self.reasons("a.rs", "//! A.\n" + "\n" * 398), [])
        self.assertIn("ends after line 399", self.reasons("a.rs", "//! A.\n" + "\n" * 399)[0])
        self.assertEqual(self.reasons("ui/src/schema.ts", "\n" * 900), [])
        self.assertIn("ends after line 199", self.reasons("ARCHITECTURE.md", "\n" * 200)[0])

    def test_a_rust_file_starts_with_a_module_comment(self):
        self.assertIn("does not start with", self.reasons("a.rs", "use b;\n")[0])

    def test_a_script_starts_with_a_comment(self):
        self.assertIn("does not start with", self.reasons("scripts/a.sh", "#!/bin/sh\necho\n")[0])
        self.assertEqual(self.reasons("scripts/a.sh", "#!/bin/sh\n# Does it.\n"), [])

    def test_target_os_is_allowed_in_two_places(self):
        text = '//! A.\n#[cfg(target_os = "macos")]\n// target_os in a comment\n'
        self.assertEqual(len(self.reasons("crates/worker/src/a.rs", text)), 1)
        self.assertEqual(self.reasons("crates/platform/src/a.rs", text), [])
        self.assertEqual(self.reasons("src-tauri/src/macos.rs", text), [])

    def test_every_crate_inherits_the_lints(self):
        self.assertIn("lints", self.reasons("crates/a/Cargo.toml", '[package]\nname = "a"\n')[0])
        self.assertEqual(self.reasons("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"), [])

    def test_a_crates_clippy_settings_repeat_the_roots(self):
        problems = lambda path, text: list(check_house.clippy_settings(path, text, "# Root.\nlimit = 1\n"))
        self.assertEqual(problems("crates/a/clippy.toml", "# A.\nlimit = 1\nmore = 2\n"), [])
        self.assertEqual(len(problems("crates/a/clippy.toml", "# A.\nmore = 2\n")), 1)

    def test_names_of_one_machine_are_reported(self):
        for line in ["see /" + "work/main/x", "'/" + "root/.cargo'", "https://pypi" + ".org/simple"]:
            self.assertEqual(len(self.reasons("a.md", line)), 1, line)
        for line in ["/home/me/work/x", "frame/work/", "~/work/", "https://huggingface.co"]:
            self.assertEqual(self.reasons("a.md", line), [], line)
        for lock in ["Cargo.lock", "fuzz/Cargo.lock"]:
            self.assertEqual(self.reasons(lock, "registry+https://github.com/rust-lang/crates" + ".io-index"), [], lock)


class Layers(unittest.TestCase):
    def problems(self, **workspace):
        return check_layers.problems(check_layers.read_wrappers(DENY), workspace)

    def test_the_entries_of_deny_toml_are_read(self):
        wrappers = {"burn": {"engine"}, "engine": {"cli"}, "data": {"engine", "cli"}}
        self.assertEqual(check_layers.read_wrappers(DENY), wrappers)

    def test_dependencies_on_lower_layers_are_allowed(self):
        layers = {"protocol": {"serde"}, "data": {"protocol", "data-encoding"}, "engine": {"data", "burn"}}
        self.assertEqual(self.problems(cli={"engine", "data"}, **layers), [])

    def test_dependencies_on_upper_layers_are_reported(self):
        self.assertIn("data uses engine", self.problems(engine=set(), data={"engine"})[0])
        self.assertIn("data uses cli", self.problems(cli=set(), data={"cli"})[0])
        self.assertIn("bottom layer", self.problems(data=set(), protocol={"data"})[-1])

    def test_a_rule_covers_the_crates_of_its_family(self):
        self.assertIn("cli uses burn-core", self.problems(cli={"burn-core"})[0])

    def test_a_new_crate_must_be_listed(self):
        self.assertIn("is missing in deny.toml", self.problems(fresh=set())[0])


if __name__ == "__main__":
    unittest.main()
