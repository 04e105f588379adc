//! The configuration files: which are read, whom they are trusted from, and their order.
//!
//! | file | whose it is |
//! |---|---|
//! | `/etc/cc-executor/config.toml`, or what `CC_EXECUTOR_SYSTEM_CONFIG` names | the system's |
//! | `cc-executor/config.toml` in `$XDG_CONFIG_HOME`, else in `~/.config`; in a service `config.toml` in its `$CONFIGURATION_DIRECTORY` instead | the user's, or the service's |
//! | what `--config` names | given |
//!
//! A setting of a later file wins over that of an earlier one. The first two are used where they exist, unless
//! `--no-config` is given or `CC_EXECUTOR_NO_CONFIG` is set; because nobody names them, they must be of the user who runs this or of root, and nobody else
//! may write them.

use std::{
    ffi::OsString,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::config::{
    command_line::Arguments,
    error::{ConfigError, PathError},
    file::ConfigFile,
    limits,
    origin::Lookup,
    settings::table,
    text_file,
};

const SYSTEM_FILE: &str = "/etc/cc-executor/config.toml";
/// Names another file instead of [`SYSTEM_FILE`].
const SYSTEM_VARIABLE: &str = "CC_EXECUTOR_SYSTEM_CONFIG";
/// Whatever it holds, it is `--no-config`: for scripts, also through `ccx`, and for tests.
const NO_FILES_VARIABLE: &str = "CC_EXECUTOR_NO_CONFIG";
const DIRECTORY: &str = "cc-executor";
const NAME: &str = "config.toml";

/// A file that may be there.
#[derive(Debug, PartialEq, Eq)]
struct Layer {
    path: PathBuf,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    System,
    /// The user's or the service's.
    Own,
    /// It was named on the command line: it must exist, and is trusted.
    Given,
}

/// Reads the files, the lowest first. What is wrong in one is in [`ConfigFile::mistakes`].
///
/// # Errors
/// The files that cannot be read.
pub(super) fn read(
    arguments: &Arguments,
    lookup: Lookup<'_>,
) -> Result<Vec<ConfigFile>, Vec<ConfigError>> {
    let mut files = Vec::new();
    let mut unread = Vec::new();
    for layer in layers(arguments, lookup) {
        match read_layer(&layer) {
            Ok(Some(mut file)) => {
                if arguments.is_private && layer.whose != Whose::Given {
                    file.settings.retain(|name, _| !table::is_of_service(name));
                }
                files.push(file);
            }
            Ok(None) => {}
            Err(problem) => unread.push(ConfigError::File { path: layer.path, problem }),
        }
    }
    if unread.is_empty() { Ok(files) } else { Err(unread) }
}

fn read_layer(layer: &Layer) -> Result<Option<ConfigFile>, PathError> {
    let bytes_limit = limits::CONFIG_FILE_BYTES;
    let text = match layer.whose {
        Whose::System | Whose::Own => text_file::read_trusted(&layer.path, bytes_limit),
        Whose::Given => text_file::read_regular(&layer.path, bytes_limit),
    };
    match text {
        Ok(text) => Ok(Some(ConfigFile::parse(&layer.path, &text))),
        Err(PathError::Io(error)) if is_absence(layer, &error) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// A program that another user has started may have a home directory that is closed to it. A file of the system that
/// cannot be seen is an error all the same: it may forbid something.
fn is_absence(layer: &Layer, error: &io::Error) -> bool {
    let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let is_hidden = || {
        error.kind() == io::ErrorKind::PermissionDenied && std::fs::metadata(&layer.path).is_err()
    };
    match layer.whose {
        Whose::Given => false,
        Whose::System => is_missing,
        Whose::Own => is_missing || is_hidden(),
    }
}

fn layers(arguments: &Arguments, lookup: Lookup<'_>) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut found = |path: PathBuf, whose| {
        // The directory of a service of the system is the system's.
        if !is_same_file(layers.last().map(|layer: &Layer| layer.path.as_path()), &path) {
            layers.push(Layer { path, whose });
        }
    };
    if arguments.has_default_files && value(lookup, NO_FILES_VARIABLE).is_none() {
        let system = value(lookup, SYSTEM_VARIABLE);
        found(system.map_or_else(|| SYSTEM_FILE.into(), PathBuf::from), Whose::System);
        if let Some(path) = own_file(lookup) {
            found(path, Whose::Own);
        }
    }
    layers.extend(arguments.config.clone().map(|path| Layer { path, whose: Whose::Given }));
    layers
}

fn is_same_file(earlier: Option<&Path>, path: &Path) -> bool {
    let Some(earlier) = earlier else { return false };
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    earlier == path || id(earlier).is_some_and(|earlier| id(path) == Some(earlier))
}

/// The file of the service, or else of the user.
fn own_file(lookup: Lookup<'_>) -> Option<PathBuf> {
    if let Some(directories) = value(lookup, "CONFIGURATION_DIRECTORY") {
        // The service manager joins several by colons.
        return std::env::split_paths(&directories).next().map(|directory| directory.join(NAME));
    }
    // The XDG specification ignores a relative path.
    let xdg = value(lookup, "XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || value(lookup, "HOME").map(|home| PathBuf::from(home).join(".config"));
    Some(xdg.or_else(home)?.join(DIRECTORY).join(NAME))
}

fn value(lookup: Lookup<'_>, name: &str) -> Option<OsString> {
    lookup(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(words: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let mut arguments = Arguments::from_words(words);
        arguments.has_default_files = !words.contains(&"--no-config");
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        let layers = layers(&arguments, &lookup);
        layers.into_iter().map(|layer| layer.path.display().to_string()).collect()
    }

    #[test]
    fn the_systems_file_comes_first_then_the_users_then_the_one_that_is_named() {
        let home = ("HOME", "/home/a");
        let system = "/etc/cc-executor/config.toml";
        let of_home = "/home/a/.config/cc-executor/config.toml";
        assert_eq!(paths(&["--config", "/x"], &[home]), [system, of_home, "/x"]);
        let xdg = [home, ("XDG_CONFIG_HOME", "/xdg")];
        assert_eq!(paths(&[], &xdg), [system, "/xdg/cc-executor/config.toml"]);
        assert_eq!(paths(&[], &[home, ("XDG_CONFIG_HOME", "relative")]), [system, of_home]);
        assert_eq!(paths(&[], &[("CC_EXECUTOR_SYSTEM_CONFIG", "/other")]), ["/other"]);
    }

    #[test]
    fn a_service_has_the_file_of_its_configuration_directory_and_that_once() {
        let service = |directory| [("HOME", "/root"), ("CONFIGURATION_DIRECTORY", directory)];
        let system = "/etc/cc-executor/config.toml";
        assert_eq!(paths(&[], &service("/etc/cc-executor")), [system]);
        assert_eq!(paths(&[], &service("/etc/mine:/etc/b")), [system, "/etc/mine/config.toml"]);
    }

    #[test]
    fn without_files_only_the_named_one_is_read() {
        assert_eq!(paths(&["--no-config"], &[("HOME", "/home/a")]), [""; 0]);
        let variable = [("HOME", "/home/a"), ("CC_EXECUTOR_NO_CONFIG", "1")];
        assert_eq!(paths(&[], &variable), [""; 0]);
        assert_eq!(paths(&["--no-config", "--config", "/x"], &[("HOME", "/home/a")]), ["/x"]);
    }
}
