//! Detects on Linux whether a camera or a microphone is in use, as in a call.

use std::path::Path;

use super::files::{entries, text};

/// Returns whether sound is being recorded or a process of this user has a camera open. Cameras
/// that other users have open are not detected, because Linux doesn't show their open files.
pub(super) fn camera_or_microphone(root: &Path) -> Result<bool, String> {
    let (sound, processes) = (root.join("proc/asound"), root.join("proc"));
    let cameras = entries(&root.join("dev"))
        .iter()
        .any(|path| path.file_name().is_some_and(|name| is_camera(&name.to_string_lossy())));
    if !sound.is_dir() && !cameras {
        return Err("Linux found no sound card and no camera".into());
    }
    Ok(microphone_in_use(&sound) || cameras && camera_in_use(&processes))
}

/// Reads every `/proc/asound/card*/pcm*c/sub*/status`; the `c` stands for capture.
fn microphone_in_use(sound: &Path) -> bool {
    let is_named = |path: &Path, start: &str, end: &str| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(end)
    };
    entries(sound)
        .iter()
        .filter(|card| is_named(card, "card", ""))
        .flat_map(|card| entries(card))
        .filter(|pcm| is_named(pcm, "pcm", "c"))
        .flat_map(|pcm| entries(&pcm))
        .any(|sub| text(&sub.join("status")).is_ok_and(|status| status.contains("RUNNING")))
}

fn camera_in_use(processes: &Path) -> bool {
    entries(processes)
        .iter()
        .flat_map(|process| entries(&process.join("fd")))
        .filter_map(|file| std::fs::read_link(file).ok())
        .any(|file| {
            file.to_str().and_then(|file| file.strip_prefix("/dev/")).is_some_and(is_camera)
        })
}

fn is_camera(name: &str) -> bool {
    let number = name.strip_prefix("video");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::write;
    use super::*;

    #[test]
    fn running_recordings_and_open_cameras_are_detected() {
        let root = tempfile::tempdir().unwrap();
        assert!(camera_or_microphone(root.path()).is_err());
        let capture = "proc/asound/card0/pcm0c/sub0/status";
        write(
            root.path(),
            &[
                (capture, "closed\n"),
                ("proc/asound/card0/pcm0p/sub0/status", "state: RUNNING\n"),
                ("dev/video0", ""),
            ],
        );
        assert_eq!(camera_or_microphone(root.path()), Ok(false), "only playback");
        write(root.path(), &[(capture, "state: RUNNING\nowner_pid: 7\n")]);
        assert_eq!(camera_or_microphone(root.path()), Ok(true));
        write(root.path(), &[(capture, "closed\n"), ("proc/7/fd/none", "")]);
        std::os::unix::fs::symlink("/dev/video0", root.path().join("proc/7/fd/3")).unwrap();
        assert_eq!(camera_or_microphone(root.path()), Ok(true));
    }
}
