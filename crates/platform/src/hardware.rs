//! Hardware id: identifies this machine independently of accounts and installed software. It is a keyed
//! hash that is meaningless outside Constellation.

/// Hash context, so that the id can't be correlated with another program's.
const CONTEXT: &str = "Constellation 2026-11 hardware id v1";

/// Returns a stable id of this machine, 32 hexadecimal characters, or `None` if the system has none. The
/// caller then keeps a random id in its data folder.
pub fn hardware_id() -> Option<String> {
    system_id().map(|id| hashed(&id))
}

fn hashed(id: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(id.as_bytes());
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(not(target_os = "macos"))]
fn system_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|text| machine_id(&text))
}

/// Parses a machine id, 32 hexadecimal characters (`machine-id(5)`). Images that were never booted have
/// `uninitialized` or an empty file, which is no id.
#[cfg(any(not(target_os = "macos"), test))]
fn machine_id(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_lowercase();
    let valid = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (valid && id.bytes().any(|b| b != b'0')).then_some(id)
}

#[cfg(target_os = "macos")]
fn system_id() -> Option<String> {
    let output = std::process::Command::new("/usr/sbin/ioreg")
        .args(["-rd1", "-c", "IOPlatformExpertDevice"])
        .output()
        .ok()?;
    platform_uuid(&String::from_utf8_lossy(&output.stdout))
}

/// Finds the value in ioreg's line `"IOPlatformUUID" = "…"`.
#[cfg(any(target_os = "macos", test))]
fn platform_uuid(registry: &str) -> Option<String> {
    let line = registry.lines().find(|line| line.contains("\"IOPlatformUUID\""))?;
    let value = line.split('=').nth(1)?.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_id_is_32_hex_characters_and_not_all_zero() {
        let id = "0123456789abcdef0123456789ABCDEF\n";
        assert_eq!(machine_id(id).as_deref(), Some("0123456789abcdef0123456789abcdef"));
        for invalid in ["", "uninitialized\n", "00000000000000000000000000000000", "0123"] {
            assert_eq!(machine_id(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn the_hardware_id_is_a_hash() {
        let raw = "0123456789abcdef0123456789abcdef";
        assert_eq!(hashed(raw).len(), 32);
        assert_ne!(hashed(raw), raw);
        assert_eq!(hashed(raw), hashed(raw));
    }

    #[test]
    fn the_platform_uuid_is_found_in_the_registry() {
        let registry = concat!(
            "+-o J314sAP  <class IOPlatformExpertDevice, id 0x100000231>\n    {\n",
            "      \"IOPlatformSerialNumber\" = \"XXXXXXXXXX\"\n",
            "      \"IOPlatformUUID\" = \"11111111-2222-3333-4444-555555555555\"\n    }\n",
        );
        let uuid = platform_uuid(registry);
        assert_eq!(uuid.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
        assert_eq!(platform_uuid("nothing"), None);
    }
}
