//! What to do about refused credentials.

use std::env;

/// As a part of a sentence.
pub(crate) fn on_refused_credentials() -> String {
    let is_key_here = env::var_os("ANTHROPIC_API_KEY").is_some_and(|value| !value.is_empty());
    credentials(is_key_here)
}

fn credentials(is_key_here: bool) -> String {
    let mut advice =
        "the API refused the credentials; log in (claude /login) or set CLAUDE_CODE_OAUTH_TOKEN"
            .to_owned();
    if is_key_here {
        advice.push_str(
            ". ANTHROPIC_API_KEY is set here, but tasks get it only with --env ANTHROPIC_API_KEY",
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_here_but_not_passed_on_is_mentioned() {
        assert!(credentials(true).contains("--env ANTHROPIC_API_KEY"));
        assert!(!credentials(false).contains("API_KEY"));
    }
}
