//! A file that is replaced as a whole: a reader sees the old one or the new one, never a half.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::error::CommandError;

/// Mode of a new file, before the umask.
const MODE: u32 = 0o666;

#[derive(Debug)]
pub(super) struct AtomicFile {
    path: PathBuf,
    folder: PathBuf,
}

impl AtomicFile {
    /// A symbolic link stays, and its target is replaced.
    pub(super) fn new(path: &Path) -> Result<Self, CommandError> {
        let refused =
            |what: String| CommandError::usage(format!("cannot write {}: {what}", path.display()));
        let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
        if is_special {
            return Err(refused("it is no regular file".to_owned()));
        }
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path),
            outcome => outcome,
        }
        .map_err(|error| refused(error.to_string()))?;
        let folder = path.parent().ok_or_else(|| refused("it is no file name".to_owned()))?;
        Ok(Self { folder: folder.to_owned(), path })
    }

    /// Writes a temporary file in the same folder and renames it.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".ccx-report-")
            .permissions(fs::Permissions::from_mode(MODE))
            .tempfile_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(&self.path)?;
        Ok(())
    }
}

impl fmt::Display for AtomicFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let file = AtomicFile::new(&path).unwrap();
        file.replace("a longer text").unwrap();
        file.replace("short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_its_target_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        AtomicFile::new(&link).unwrap().replace("new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn a_folder_and_a_place_in_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            AtomicFile::new(folder.path()).unwrap_err().to_string().contains("no regular file")
        );
        let nowhere = AtomicFile::new(&folder.path().join("no/report")).unwrap();
        assert!(nowhere.replace("x").is_err());
    }
}
