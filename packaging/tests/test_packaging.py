"""Tests of the packaging writers, readers and checks."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import archive
import bom
import bundle
import icons
import macho
import plists
import product
import sbom

PLIST = '<?xml version="1.0"?><plist version="1.0">%s</plist>'


class Archives(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "a/b").mkdir(parents=True)
        (self.folder / "a/b/run").write_bytes(b"#!\n")
        (self.folder / "a/b/run").chmod(0o700)
        (self.folder / "a/text").write_bytes(b"x" * 5000)
        self.found = [(".", self.folder / "a/b"), *archive.entries(self.folder / "a", "./a")]

    def test_bsdtar_reads_the_cpio_and_the_same_files_give_the_same_bytes(self):
        data = archive.cpio_gz(self.found)
        self.assertEqual(data, archive.cpio_gz(self.found))
        listing = subprocess.run(["bsdtar", "-tvf", "-"], input=data, check=True, stdout=subprocess.PIPE).stdout.decode()
        lines = [line.split() for line in listing.splitlines()]
        self.assertEqual([(line[0], line[2], line[-1]) for line in lines], [
            ("drwxr-xr-x", "0", "."),
            ("drwxr-xr-x", "0", "./a"),
            ("drwxr-xr-x", "0", "./a/b"),
            ("-rwxr-xr-x", "0", "./a/b/run"),
            ("-rw-r--r--", "0", "./a/text"),
        ])

    def test_a_link_is_refused(self):
        (self.folder / "a/link").symlink_to("text")
        with self.assertRaises(ValueError):
            archive.cpio_gz(archive.entries(self.folder / "a", "./a"))

    def test_bsdtar_reads_the_xar(self):
        data = archive.xar({"Distribution": b"one & two", "p.pkg": {"Payload": bytes(range(256)) * 9, "Empty": b""}})
        target = self.folder / "x"
        target.mkdir()
        subprocess.run(["bsdtar", "-xf", "-", "-C", target], input=data, check=True)
        self.assertEqual((target / "Distribution").read_bytes(), b"one & two")
        self.assertEqual((target / "p.pkg/Payload").read_bytes(), bytes(range(256)) * 9)

    def test_a_bill_can_be_read_back_and_has_the_checksums_of_cksum(self):
        billed = bom.read(bom.write(self.found))
        self.assertEqual(list(billed), [".", "./a", "./a/b", "./a/b/run", "./a/text"])
        checksum = subprocess.run(["cksum"], input=b"x" * 5000, check=True, stdout=subprocess.PIPE).stdout.split()[0]
        self.assertEqual(billed["./a/text"], (0o100644, 5000, int(checksum)))
        with self.assertRaises(ValueError):
            bom.write(self.found * 100)


class Icons(unittest.TestCase):
    def test_a_container_can_be_read_back_and_a_damaged_one_is_refused(self):
        data = icons.container([("ic07", b"one"), ("ic08", b"")])
        self.assertEqual(icons.read(data), [("ic07", b"one"), ("ic08", b"")])
        for broken in (data[:-1], b"nope" + data[4:], data[:8] + b"ic07\0\0\0\1" + data[16:]):
            with self.assertRaises(ValueError):
                icons.read(broken)


class Lists(unittest.TestCase):
    def test_invalid_lists_that_python_s_parser_accepts_are_refused(self):
        for wrong in (
            "<dict><key>a</key><true/><key>a</key><false/></dict>",
            "<dict><key>a</key></dict>",
            "<array><dict><key>a</key><true/><key>a</key><true/></dict></array>",
            "<dict><key>a</key><integer>x</integer></dict>",
            "<dict>",
        ):
            with self.assertRaises(ValueError, msg=wrong):
                plists.read((PLIST % wrong).encode())
        self.assertEqual(plists.read((PLIST % "<dict><key>a</key><true/></dict>").encode()), {"a": True})

    def test_entitlements_that_weaken_the_app_are_reported(self):
        self.assertEqual(list(plists.entitlements({})), [])
        for key in ("com.apple.security.device.camera", "com.apple.security.get-task-allow"):
            self.assertEqual(len(list(plists.entitlements({key: True}))), 1)

    def test_a_profile_needs_its_keys_and_unique_ids(self):
        payload = {"PayloadType": "x", "PayloadIdentifier": "i", "PayloadVersion": 1, "PayloadUUID": "01890A5D-AC96-774B-BCCE-B302099A8057"}
        outer = payload | {"PayloadType": "Configuration", "PayloadUUID": "01890A5D-AC96-774B-BCCE-B302099A8058", "PayloadContent": [payload]}
        self.assertEqual(list(plists.profile(outer)), [])
        self.assertTrue(list(plists.profile(outer | {"PayloadUUID": payload["PayloadUUID"]})))
        self.assertTrue(list(plists.profile(outer | {"PayloadContent": []})))
        self.assertTrue(list(plists.profile(outer | {"PayloadUUID": "none"})))

    def test_a_manifest_has_only_known_keys_and_values(self):
        good = plists.read((product.ROOT / "assets/mdm/com.constellation.app.plist").read_bytes())
        self.assertEqual(list(plists.manifest(good)), [])
        first = good["pfm_subkeys"][-1]
        for wrong in ({"pfm_typ": "string"}, {"pfm_type": "text"}, {"pfm_default": 1}, {"pfm_name": "Mode"}, {"pfm_range_list": ["x"]}):
            changed = good | {"pfm_subkeys": [*good["pfm_subkeys"][:-1], first | wrong]}
            self.assertTrue(list(plists.manifest(changed)), wrong)
        self.assertTrue(list(plists.manifest(good | {"pfm_domain": "com.example"})))

    def test_a_schema_matches_the_manifest(self):
        manifest = plists.read((product.ROOT / "assets/mdm/com.constellation.app.plist").read_bytes())
        schema = json.loads((product.ROOT / "assets/mdm/com.constellation.app.json").read_text())
        self.assertEqual(list(plists.schema(schema, manifest)), [])
        schema["properties"]["Mode"]["anyOf"][1]["enum"].pop()
        self.assertEqual(len(list(plists.schema(schema, manifest))), 1)
        del schema["properties"]["Mode"]
        self.assertEqual(len(list(plists.schema(schema, manifest))), 1)

    def test_the_committed_lists_have_no_problems(self):
        self.assertEqual(list(plists.in_repository()), [])


class Bill(unittest.TestCase):
    METADATA = {
        "packages": [
            {"id": "cli", "name": "cli", "version": "1", "source": None},
            {"id": "other", "name": "bench", "version": "1", "source": None},
            *({"id": id, "name": id, "version": "1", "source": "r", "license": "MIT/Apache-2.0"} for id in ("used", "deep", "test", "spare")),
        ],
        "resolve": {
            "nodes": [
                {"id": "cli", "deps": [{"pkg": "used", "dep_kinds": [{"kind": None}]}, {"pkg": "test", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "used", "deps": [{"pkg": "deep", "dep_kinds": [{"kind": "build"}, {"kind": None}]}]},
                {"id": "other", "deps": [{"pkg": "spare", "dep_kinds": [{"kind": None}]}]},
                *({"id": id, "deps": []} for id in ("deep", "test", "spare")),
            ]
        },
    }

    def test_linked_packages_are_listed_and_test_dependencies_are_not(self):
        found = sbom.reachable(self.METADATA)
        self.assertEqual([package["name"] for package in found], ["deep", "used"])
        bill = sbom.bill(found)
        self.assertEqual(bill["components"][0]["licenses"], [{"expression": "MIT OR Apache-2.0"}])
        self.assertEqual(bill["serialNumber"], sbom.bill(found)["serialNumber"])
        self.assertNotEqual(bill["serialNumber"], sbom.bill(found[:1])["serialNumber"])


class Programs(unittest.TestCase):
    def test_programs_are_found_by_cargo_s_names(self):
        self.assertIn(f'name = "{bundle.APP_CRATE}"', (product.ROOT / "src-tauri/Cargo.toml").read_text())
        self.assertIn(f'name = "{product.COMMAND}"', (product.ROOT / "crates/cli/Cargo.toml").read_text())
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch.object(bundle, "BUILT", folder))
        self.enterContext(unittest.mock.patch.dict(os.environ))
        os.environ.pop("APP_BINARY", None)
        built = folder / "release" / bundle.APP_CRATE
        built.parent.mkdir()
        built.write_bytes(macho.MAGIC)
        self.assertEqual(bundle.program("APP_BINARY", bundle.APP_CRATE), built)
        os.environ["APP_BINARY"] = "other"
        self.assertEqual(bundle.program("APP_BINARY", bundle.APP_CRATE), Path("other"))


class Version(unittest.TestCase):
    def test_the_version_comes_from_the_workspace(self):
        self.assertRegex(product.version(), r"^\d+\.\d+\.\d+$")
        self.assertGreater(int(product.build()), 0)


if __name__ == "__main__":
    unittest.main()
