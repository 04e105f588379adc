//! The key of the state directory, which this supervisor shows to workers and keepers of earlier ones.
//!
//! Owns the file `key`: made once, readable by its user alone.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use cc_link::{
    keeper::KEY_NAME,
    key::{KEY_LETTERS, Key},
};

/// The key, and whether no earlier process can know it.
#[derive(Clone, Debug)]
pub(crate) struct AdoptionKey {
    pub(crate) key: Key,
    pub(crate) is_new: bool,
}

impl AdoptionKey {
    /// Reads the key in this directory, or makes it. To be called under the lock of the directory.
    ///
    /// # Errors
    /// When the file cannot be read or made, or there are no random numbers.
    pub(crate) fn load(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(KEY_NAME);
        match read(&path) {
            Ok(Some(key)) => return Ok(Self { key, is_new: false }),
            // Cut short by a full disk, or damaged.
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the key is damaged: a new one is made")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key = random()?;
        let made = path.with_extension("new");
        drop(fs::remove_file(&made));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made)?;
        file.write_all(key.to_text().as_bytes())?;
        fs::rename(&made, &path)?;
        Ok(Self { key, is_new: true })
    }
}

fn read(path: &Path) -> io::Result<Option<Key>> {
    let mut text = String::new();
    cc_tasklog::open_for_reading(path)?.take(KEY_LETTERS as u64 + 1).read_to_string(&mut text)?;
    Ok(Key::from_text(text.trim_end()))
}

fn random() -> io::Result<Key> {
    let mut secret = [0; KEY_LETTERS / 2];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    Key::from_text(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_user_alone_and_again_when_it_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let first = AdoptionKey::load(directory.path()).unwrap();
        let again = AdoptionKey::load(directory.path()).unwrap();
        assert!(first.is_new && !again.is_new && first.key == again.key);
        let path = directory.path().join(KEY_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let other = AdoptionKey::load(directory.path()).unwrap();
        assert!(other.is_new && other.key != first.key);
    }

    #[test]
    fn what_is_no_file_is_neither_followed_nor_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_NAME);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let error = AdoptionKey::load(directory.path()).unwrap_err();
        assert!(error.to_string().contains("move it away"), "{error}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(
            AdoptionKey::load(directory.path()).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
