//! The working directory of tasks.

use std::{env, path::Path};

use crate::{
    args::{ServerOptions, TaskOptions},
    error::CommandError,
};

/// The absolute working directory of the task. A running supervisor has its own default; a private
/// one shares ours, and says so in its log.
pub(crate) fn working_directory(
    server: &ServerOptions,
    options: &TaskOptions,
) -> Result<Option<String>, CommandError> {
    match (&options.cwd, &server.url) {
        (Some(folder), _) => absolute(folder).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => match env::current_dir() {
            Ok(folder) => absolute(&folder).map(Some),
            Err(error) => Err(CommandError::io("the current directory is gone")(error)),
        },
    }
}

/// The absolute path as UTF-8, which the supervisor requires.
pub(crate) fn absolute(path: &Path) -> Result<String, CommandError> {
    let refused =
        |what: &str| CommandError::usage(format!("the folder {}: {what}", path.display()));
    let path = std::path::absolute(path).map_err(|error| refused(&error.to_string()))?;
    path.to_str().map(str::to_owned).ok_or_else(|| refused("its name is no UTF-8"))
}
