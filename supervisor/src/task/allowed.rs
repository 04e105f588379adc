//! What a list of allowed commands allows: which program begins, and nothing that would make another program of it.
//!
//! The list names programs, and they are looked for where the supervisor's own `PATH` says. So a request sets neither that nor
//! any other variable that chooses the code of what it starts. What an allowed program itself runs is not limited: a shell, an
//! interpreter, git and Claude run whatever they are told to.

use cc_protocol::{CallError, UnfitParam, execute::Execute};

use crate::config::Config;

/// Variables that choose what is run, of the loader and of the usual interpreters.
const CHOOSING: [&str; 53] = [
    "PATH",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "SHELL",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "LOCPATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONBREAKPOINT",
    "PERLLIB",
    "PERL5LIB",
    "PERL5OPT",
    "PERL5DB",
    "RUBYLIB",
    "RUBYOPT",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "LUA_INIT",
    "LUA_PATH",
    "LUA_CPATH",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "DOTNET_STARTUP_HOOKS",
    "R_PROFILE",
    "PAGER",
    "MANPAGER",
    "EDITOR",
    "VISUAL",
    "SUDO_EDITOR",
    "LESSOPEN",
    "LESSCLOSE",
    "SSH_ASKPASS",
    "MAKEFLAGS",
    "RUSTC_WRAPPER",
    "CLAUDE_CODE_SHELL",
    "CLAUDE_CODE_SHELL_PREFIX",
];
/// Beginnings of the names of such variables: those of the loader, exported functions of bash, and what git runs.
const CHOOSING_PREFIXES: [&str; 5] = ["LD_", "BASH_FUNC_", "GIT_", "npm_config_", "NPM_CONFIG_"];
/// What git only writes down.
const HARMLESS_PREFIXES: [&str; 2] = ["GIT_AUTHOR_", "GIT_COMMITTER_"];

/// # Errors
/// When the operator has a list of commands, and this is none of them, or comes with such a variable.
pub(super) fn check(config: &Config, word: &str, execute: &Execute) -> Result<(), CallError> {
    let allowed = &config.allowed_commands;
    if allowed.is_empty() {
        return Ok(());
    }
    if !allowed.iter().any(|name| name == word) {
        return Err(CallError::CommandNotAllowed {
            command: word.to_owned(),
            allowed: allowed.clone(),
        });
    }
    match execute.env.keys().find(|name| chooses_code(name)) {
        Some(name) => Err(UnfitParam::VariableNotAllowed { name: name.clone() }.into()),
        None => Ok(()),
    }
}

fn chooses_code(name: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    CHOOSING.contains(&name) || (begins(&CHOOSING_PREFIXES) && !begins(&HARMLESS_PREFIXES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_choose_code_are_told_from_those_that_do_not() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "BASH_ENV",
            "NODE_OPTIONS",
            "GIT_SSH_COMMAND",
            "npm_config_prefix",
        ] {
            assert!(chooses_code(name), "{name}");
        }
        for name in ["LANG", "ANTHROPIC_API_KEY", "GIT_AUTHOR_NAME", "PATHS", "MY_PATH"] {
            assert!(!chooses_code(name), "{name}");
        }
    }
}
