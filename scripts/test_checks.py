#!/usr/bin/env python3
"""Tests of check_house.py, check_layers.py, check_cycles.py and check_glossary.py: each rule reports violations and accepts valid input."""

import tempfile
import unittest
from pathlib import Path

import check_cycles
import check_glossary
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


class Cycles(unittest.TestCase):
    def circles(self, **files):
        """Returns the circles of a crate with these files, each as its arrows. `a_b` names the file a/b.rs."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, "src", f"{name.replace('_', '/')}.rs")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            found = check_cycles.problems(Path(folder))
        return [[line.split(": ")[0].strip() for line in circle.splitlines()[1:]] for circle in found]

    def arrows(self, **files):
        return [arrow.split(":")[0] + arrow[arrow.index(" ->") :] for circle in self.circles(**files) for arrow in circle]

    def test_a_tree_of_imports_is_accepted(self):
        files = {"lib": "mod a; mod b; use a::A; use b::B;", "a": "use crate::b::B; pub struct A(B);", "b": "pub struct B;"}
        self.assertEqual(self.circles(**files), [])

    def test_a_circle_is_reported_with_its_imports(self):
        files = {
            "lib": "mod a; mod b; mod c; mod d;",
            "a": "use {super::b::B, std::fmt};\npub struct A;",
            "b": "\nuse crate::{c::{self as sea}, d};\npub struct B;\nfn f() { sea::c(d::D) }",
            "c": "pub fn c() -> crate::a::A {}",
            "d": "pub struct D;",
        }
        self.assertEqual(self.circles(**files), [["a.rs:1 -> b.rs", "b.rs:4 -> c.rs", "c.rs:1 -> a.rs"]])

    def test_a_parent_may_declare_and_export_its_children(self):
        files = {"lib": "mod a;", "a_mod": "mod one; mod two; pub use one::One;", "a_one": "pub struct One;"}
        self.assertEqual(self.circles(**files, a_two="use super::One; use crate::a::One as Uno;"), [])

    def test_a_child_that_uses_its_parents_item_makes_a_circle_if_the_parent_uses_the_child(self):
        parent = "pub mod child; pub struct Shared;"
        child = "use super::Shared; pub fn f() {}"
        self.assertEqual(self.circles(lib="mod a;", a_mod=parent, a_child=child), [])
        both = ["a/child.rs -> a/mod.rs", "a/mod.rs -> a/child.rs"]
        for use in ["fn g() { child::f() }", "use child::f;", "pub use child::f; fn g() { f() }", "pub use self::child::*;"]:
            self.assertEqual(self.arrows(lib="mod a;", a_mod=f"{parent} {use}", a_child=child), both, use)

    def test_exports_lead_to_the_file_that_defines_the_item(self):
        files = {
            "lib": "mod a; mod b; mod c; pub use b::*;",
            "a": "pub struct A; fn f(b: crate::Renamed) {}",
            "b": "pub(crate) use crate::c::C as Renamed;",
            "c": "use crate::a::A; pub enum C { A }",
        }
        self.assertEqual(self.arrows(**files), ["a.rs -> c.rs", "c.rs -> a.rs"])

    def test_tests_are_exempt_as_importers(self):
        files = {
            "lib": "mod a; mod b;",
            "a": "use crate::b::B; pub struct A; #[cfg(test)] mod tests { fn t() { let a = 1; } }",
            "b": "pub struct B; #[cfg(test)] use crate::a::A;\n#[cfg(test)] mod tests { use crate::a::A; }\nmod tests;"
            "impl B { #[cfg(test)] fn t() { crate::a::A } fn u() {} }",
            "b_tests": "use crate::a::A;",
        }
        self.assertEqual(self.circles(**files), [])
        self.assertNotEqual(self.circles(**files | {"b": "pub struct B; #[cfg(unix)] use crate::a::A;"}), [])

    def test_text_and_names_of_other_crates_are_no_imports(self):
        files = {
            "lib": "mod a; mod b; mod serde;",
            "a": "use crate::b::B; pub struct A;",
            "b": "// use crate::a::A;\n/* /* */ crate::a::A */ pub struct B<'a>(&'a str);\n"
            'const A: &str = r#"" crate::a::A"#; const Q: char = \'"\'; use serde::A; fn f() { ::serde::x(); "crate::a::A"; }',
            "serde": "use crate::b::B;",
        }
        self.assertEqual(self.circles(**files), [])

    def test_paths_in_attributes_and_macros_count(self):
        files = {"lib": "mod a; mod b;", "a": "use crate::b::B; pub fn read() {}"}
        for text in ['#[serde(with = "crate::a::read")] x: u8', "x: [u8; same!(crate::a::read)]"]:
            self.assertEqual(self.arrows(**files, b=f"pub struct B {{ {text} }}"), ["a.rs -> b.rs", "b.rs -> a.rs"], text)

    def test_modules_of_several_systems_are_all_read(self):
        parent = "#[cfg(unix)] mod one; #[cfg(not(unix))] #[path = \"two.rs\"] mod one; pub struct A; fn f() { one::f() }"
        for own, other in [("one", "two"), ("two", "one")]:
            files = {f"a_{own}": "use super::A; pub fn f() {}", f"a_{other}": "pub fn f() {}"}
            self.assertEqual(len(self.circles(lib="mod a;", a_mod=parent, **files)), 1)

    def test_items_that_macros_make_belong_to_the_file_that_calls_them(self):
        files = {"lib": "mod a; mod b;", "a": "make!(A); use crate::b::B;", "b": "use super::a::A; pub struct B;"}
        self.assertEqual(self.arrows(**files), ["a.rs -> b.rs", "b.rs -> a.rs"])


class Glossary(unittest.TestCase):
    def reasons(self, path, text):
        return [problem.split(": ", 1)[1] for problem in check_glossary.problems(path, text)]

    def test_an_old_name_is_not_defined_again(self):
        for line in ["pub struct Courier;", "    fn told(&self) {}", "pub(crate) enum Chance {"]:
            self.assertEqual(len(self.reasons("crates/a/src/b.rs", line)), 1, line)
        self.assertEqual(len(self.reasons("ui/src/a.ts", "export function moment(at: number) {")), 1)

    def test_an_old_module_does_not_come_back(self):
        self.assertIn("lease_timeout", self.reasons("crates/a/src/pace.rs", "//! A.")[0])
        self.assertEqual(self.reasons("crates/a/tests/pace.rs", "//! A."), [])

    def test_a_use_in_a_sentence_and_an_associated_type_are_no_definitions(self):
        for line in ["// struct Courier", "    type Rejection = ApiError;", "fn words_of_a_text() {}"]:
            self.assertEqual(self.reasons("crates/a/src/b.rs", line), [], line)

    def test_text_is_in_american_spelling_except_for_kept_names(self):
        self.assertEqual(self.reasons("a.md", "The behavi" + "our of an enrol" + "ment."), [
            "'behavi" + "our': American spelling",
            "'enrol" + "ment': American spelling",
        ])
        for line in ["`enrol`", "info.licence", "#/enrol", "an enrolled device"]:
            self.assertEqual(self.reasons("a.md", line), [], line)


if __name__ == "__main__":
    unittest.main()
