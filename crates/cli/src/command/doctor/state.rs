//! The state directory of the supervisor that is to run: whose it is, who can read it, what fits in.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access, geteuid},
};

use super::finding::Finding;
use crate::display::text;

const WHAT: &str = "state";
/// Permission bits of group and others: none, as the directory holds the output of tasks.
const OTHERS: u32 = 0o077;
/// Less than the logs of a long batch may need.
const FREE_BYTES_WANTED: u64 = 1 << 30;
/// Below this the first tasks may already find the disk full.
const FREE_BYTES_NEEDED: u64 = 100 << 20;

/// Checks the directory, or the nearest existing directory above it.
pub(crate) fn check(wish: Option<&Path>) -> Vec<Finding> {
    let Some(directory) = wish.map(Path::to_owned).or_else(usual_directory) else {
        return vec![Finding::fail(
            WHAT,
            "there is no home directory to keep it in",
            "set HOME, or start cc-supervisor with --state-dir",
        )];
    };
    let place = existing(&directory);
    vec![access_to(&directory, place), free(&directory, place)]
}

/// The default of cc-supervisor.
fn usual_directory() -> Option<PathBuf> {
    if let Some(directories) = env::var_os("STATE_DIRECTORY").filter(|text| !text.is_empty()) {
        return env::split_paths(&directories).next();
    }
    let base = etcetera::base_strategy::Xdg::new().ok()?;
    Some(base.state_dir()?.join("cc-executor"))
}

/// The directory, or the nearest existing one above it.
fn existing(directory: &Path) -> &Path {
    directory.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"))
}

fn access_to(directory: &Path, place: &Path) -> Finding {
    let (shown, above) = (directory.display(), place.display());
    let metadata = match fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(error) => return Finding::failure(WHAT, format!("{above}: {error}")),
    };
    if !metadata.is_dir() {
        let advice = "remove it, or start cc-supervisor with another --state-dir";
        return Finding::fail(WHAT, format!("{above} is no directory"), advice);
    }
    if access(place, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let found = format!("{shown} cannot be written: {above} belongs to uid {}", metadata.uid());
        return Finding::fail(WHAT, found, "start cc-supervisor with another --state-dir");
    }
    if place != directory {
        return Finding::ok(WHAT, format!("{shown} is made with the first start"));
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if owner != geteuid().as_raw() {
        let found = format!("{shown} belongs to uid {owner}, and not to this user");
        return Finding::warn(WHAT, found, "its owner can read and change what is kept there");
    }
    if mode & OTHERS != 0 {
        let found = format!("{shown} has the mode {mode:o}: others can see what tasks print");
        return Finding::warn(WHAT, found, format!("chmod 700 {shown}"));
    }
    Finding::ok(WHAT, format!("{shown}, for this user alone"))
}

fn free(directory: &Path, place: &Path) -> Finding {
    let free_bytes =
        statvfs(place).map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
    match free_bytes {
        Ok(free_bytes) => judge_free(directory, free_bytes),
        Err(errno) => Finding::skip("disk", format!("{}: {}", place.display(), errno.desc())),
    }
}

fn judge_free(directory: &Path, free_bytes: u64) -> Finding {
    const WHAT: &str = "disk";
    let found = format!("{} free for {}", text::bytes(free_bytes), directory.display());
    let advice = "free some, start cc-supervisor with another --state-dir, or lower --keep-bytes";
    match free_bytes {
        _ if free_bytes < FREE_BYTES_NEEDED => Finding::fail(WHAT, found, advice),
        _ if free_bytes < FREE_BYTES_WANTED => Finding::warn(WHAT, found, advice),
        _ => Finding::ok(WHAT, found),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn level(finding: &Finding) -> String {
        finding.line().split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn a_directory_that_is_not_there_is_made_where_it_can_be() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("a/b");
        let findings = check(Some(&directory));
        assert_eq!(level(&findings[0]), "ok");
        assert!(findings[0].line().contains("is made with the first start"));
        assert!(!directory.exists(), "looking makes nothing");
    }

    #[test]
    fn a_directory_that_others_can_read_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(level(&check(Some(directory.path()))[0]), "ok");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let finding = &check(Some(directory.path()))[0];
        assert_eq!(level(finding), "warn");
        assert!(finding.line().contains("chmod 700"), "{}", finding.line());
    }

    #[test]
    fn a_file_in_its_place_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(level(&check(Some(file.path()))[0]), "fail");
        assert_eq!(level(&check(Some(&file.path().join("below")))[0]), "fail");
    }

    #[test]
    fn little_room_is_a_warning_and_hardly_any_a_failure() {
        for (free_bytes, expected) in
            [(100 << 30, "ok"), (FREE_BYTES_WANTED - 1, "warn"), (FREE_BYTES_NEEDED - 1, "fail")]
        {
            assert_eq!(level(&judge_free(Path::new("/s"), free_bytes)), expected);
        }
    }
}
