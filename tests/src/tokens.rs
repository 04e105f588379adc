//! Supervisors with tokens, and clients that present one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Client, Options, Supervisor, client::Refused};

/// A token file of a test's own.
pub struct TokenFile {
    directory: TempDir,
}

/// An entry of a token file: the secret of the token NAME is `secret-of-NAME-0123`.
#[must_use]
pub fn entry(name: &str, scopes: &[&str], more: &str) -> String {
    let secret = secret(name);
    format!("[[token]]\nname = \"{name}\"\ntoken = \"{secret}\"\nscopes = {scopes:?}\n{more}\n")
}

#[must_use]
pub fn secret(name: &str) -> String {
    format!("secret-of-{name}-0123")
}

impl TokenFile {
    #[must_use]
    pub fn new(entries: &[String]) -> Self {
        let file = Self { directory: tempfile::tempdir().unwrap() };
        file.write(&entries.concat());
        file
    }

    pub fn write(&self, text: &str) {
        let path = self.path();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("tokens.toml")
    }

    /// A directory beside it, for the test.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    #[must_use]
    pub fn options(&self) -> Options {
        Options::new().flag("--token-file", self.path().display())
    }
}

impl Client {
    /// Presents the token NAME of [`entry`] and reads `connected`.
    #[must_use]
    pub fn with_token(supervisor: &Supervisor, name: &str) -> Self {
        Self::with_secret(supervisor, &secret(name)).expect("the token is accepted")
    }

    /// Presents this text as a token, and reads `connected`.
    ///
    /// # Errors
    /// When it is refused before the upgrade.
    pub fn with_secret(supervisor: &Supervisor, secret: &str) -> Result<Self, Refused> {
        let bearer = format!("Bearer {secret}");
        let mut client =
            Self::open(supervisor.address(), "/ws/mcp", &[("authorization", &bearer)])?;
        client.read_connected();
        Ok(client)
    }
}
