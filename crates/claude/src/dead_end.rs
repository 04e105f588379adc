//! Refusals of the API that no wait lifts: a person must act.
//!
//! By the CLI's own word where it has one, else by the status, else by its sentence. Only errors are read: what
//! a model says in an answer is never one. Pure; called by the supervisor at an attempt's end.

use cc_events::{ClaudeResult, LimitReport};

use crate::own_words;

/// Longer texts are no sentence of the CLI's.
const TEXT_BYTES_LIMIT: usize = 600;

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadEnd {
    /// Prepaid credits, or paid extra usage, are used up or were never bought.
    Credits,
    /// The payment has failed, or there is no way to pay.
    Billing,
    /// The account or its organization is held or disabled.
    Hold,
    /// The account has to be verified.
    Verification,
    /// The login of the cloud that serves the model has expired, or there is none.
    CloudLogin,
    /// The plan of the account does not contain what was asked for.
    Subscription,
    /// The service is not offered where the machine is.
    Region,
    /// Terms have to be accepted.
    Terms,
    /// There is no such model, or not for this account.
    Model,
    /// The account does not pay for the long context of the model.
    LongContext,
}

/// The CLI's words, as they stand in `error` of its answers, in `errorCode` and in `overageDisabledReason`.
const WORDS: [(&str, DeadEnd); 10] = [
    ("billing_error", DeadEnd::Billing),
    ("payment_required", DeadEnd::Billing),
    ("credits_required", DeadEnd::Credits),
    ("out_of_credits", DeadEnd::Credits),
    ("insufficient_credits", DeadEnd::Credits),
    ("account_on_hold", DeadEnd::Hold),
    ("account_suspended", DeadEnd::Hold),
    ("verification_required", DeadEnd::Verification),
    ("cloud_credential_error", DeadEnd::CloudLogin),
    ("model_not_found", DeadEnd::Model),
];

/// Its sentences, in lower case; the first that a text contains counts.
const SENTENCES: [(&str, DeadEnd); 58] = [
    ("extra usage is required for", DeadEnd::LongContext),
    ("usage credits are required for", DeadEnd::LongContext),
    ("credits are required for 1m", DeadEnd::LongContext),
    ("credits are required for long", DeadEnd::LongContext),
    ("long context beta is not", DeadEnd::LongContext),
    ("long context is not", DeadEnd::LongContext),
    ("1m context is not", DeadEnd::LongContext),
    ("credit balance is too low", DeadEnd::Credits),
    ("credits are required", DeadEnd::Credits),
    ("out of credits", DeadEnd::Credits),
    ("insufficient credits", DeadEnd::Credits),
    ("insufficient credit balance", DeadEnd::Credits),
    ("payment required", DeadEnd::Billing),
    ("payment method", DeadEnd::Billing),
    ("payment failed", DeadEnd::Billing),
    ("payment has failed", DeadEnd::Billing),
    ("billing_error", DeadEnd::Billing),
    ("billing issue", DeadEnd::Billing),
    ("is on hold", DeadEnd::Hold),
    ("organization has been disabled", DeadEnd::Hold),
    ("organization is disabled", DeadEnd::Hold),
    ("organization has been suspended", DeadEnd::Hold),
    ("account has been disabled", DeadEnd::Hold),
    ("account is disabled", DeadEnd::Hold),
    ("account has been suspended", DeadEnd::Hold),
    ("account is suspended", DeadEnd::Hold),
    ("verification is required", DeadEnd::Verification),
    ("verify your account", DeadEnd::Verification),
    ("verify your identity", DeadEnd::Verification),
    ("verify your email", DeadEnd::Verification),
    ("verify your phone", DeadEnd::Verification),
    ("verify your age", DeadEnd::Verification),
    ("email address is not verified", DeadEnd::Verification),
    ("could not load the default credentials", DeadEnd::CloudLogin),
    ("could not load credentials from any providers", DeadEnd::CloudLogin),
    ("aws sso login", DeadEnd::CloudLogin),
    ("this sso session", DeadEnd::CloudLogin),
    ("sso session has expired", DeadEnd::CloudLogin),
    ("the security token included in the request is", DeadEnd::CloudLogin),
    ("gcloud auth", DeadEnd::CloudLogin),
    ("reauthentication is needed", DeadEnd::CloudLogin),
    ("run az login", DeadEnd::CloudLogin),
    ("'az login'", DeadEnd::CloudLogin),
    ("subscription does not include", DeadEnd::Subscription),
    ("plan does not include", DeadEnd::Subscription),
    ("not included in your plan", DeadEnd::Subscription),
    ("not included in your subscription", DeadEnd::Subscription),
    ("requires a paid", DeadEnd::Subscription),
    ("subscription has expired", DeadEnd::Subscription),
    ("no active subscription", DeadEnd::Subscription),
    ("available in your country", DeadEnd::Region),
    ("available in your region", DeadEnd::Region),
    ("available in this country", DeadEnd::Region),
    ("unsupported_country_region_territory", DeadEnd::Region),
    ("updated terms of service", DeadEnd::Terms),
    ("accept the updated", DeadEnd::Terms),
    ("accept the terms", DeadEnd::Terms),
    ("issue with the selected model", DeadEnd::Model),
];
/// How such sentences begin where nothing in the stream marks them, in lower case.
const BEGINNINGS: [&str; 21] = [
    "extra usage is required for",
    "usage credits are required for",
    "credit balance is too low",
    "credits are required",
    "you're out of",
    "you are out of",
    "out of credits",
    "insufficient credit",
    "payment required",
    "payment failed",
    "payment method was declined",
    "this organization",
    "organization has been",
    "account has been",
    "account is",
    "please verify your",
    "please accept",
    "could not load",
    "token is expired. to refresh",
    "subscription does not include",
    "there's an issue with the selected model",
];

impl DeadEnd {
    /// Reads the dead end that ended an attempt: from its result, where that is an error, and from the last limit
    /// that it reports, if nothing was answered since. `None` where there is none that is understood.
    #[must_use]
    pub fn of(report: Option<&LimitReport>, result: Option<&ClaudeResult>) -> Option<Self> {
        let result = result.filter(|result| result.is_error);
        // The API's own trouble is no judgement on the account.
        if result.and_then(|result| result.api_error_status).is_some_and(|status| status >= 500) {
            return None;
        }
        let word = result.and_then(|result| result.api_error.as_deref());
        // A limit that names its end is over then, whatever else would lift it earlier.
        let blocked_by = report.filter(|report| report.resets_at_s.is_none());
        let blocked_by = blocked_by.and_then(|report| report.blocked_by.as_deref());
        let by_word = [word, blocked_by].into_iter().flatten().find_map(Self::of_word);
        by_word.or_else(|| result.and_then(Self::of_error))
    }

    fn of_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, found)| *found)
    }

    fn of_error(result: &ClaudeResult) -> Option<Self> {
        let mut texts = own_words::texts(result, &BEGINNINGS);
        let sentence = |text: &str| {
            let text = (text.len() <= TEXT_BYTES_LIMIT).then(|| text.to_ascii_lowercase())?;
            SENTENCES.iter().find(|(known, _)| text.contains(known)).map(|(_, found)| *found)
        };
        let by_sentence = texts.find_map(sentence);
        by_sentence.or_else(|| (result.api_error_status == Some(402)).then_some(Self::Billing))
    }

    /// It concerns every task of the account, and not only those of one model.
    #[must_use]
    pub fn is_of_account(self) -> bool {
        match self {
            Self::Model | Self::LongContext => false,
            Self::Credits
            | Self::Billing
            | Self::Hold
            | Self::Verification
            | Self::CloudLogin
            | Self::Subscription
            | Self::Region
            | Self::Terms => true,
        }
    }

    /// It stands in the way also after a usage limit that was met with it.
    #[must_use]
    pub fn outlasts_limits(self) -> bool {
        self == Self::LongContext
    }

    /// What a person must do, as the rest of a sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Credits => {
                "buy credits, or allow paid extra usage, in the billing settings of the account"
            }
            Self::Billing => "see to the payment in the billing settings of the account",
            Self::Hold => {
                "the account or its organization is held: see its settings, or ask support"
            }
            Self::Verification => "verify the account in a browser",
            Self::CloudLogin => {
                "log in to the cloud again (such as aws sso login, gcloud auth or az login)"
            }
            Self::Subscription => {
                "choose a plan that includes it, or log in with an account that has one"
            }
            Self::Region => {
                "the service is not offered where this machine is; run it where it is, or use another provider"
            }
            Self::Terms => "log in in a browser and accept the terms",
            Self::LongContext => {
                "name a model without the 1M context window, or enable extra usage in the settings of the account"
            }
            Self::Model => "name a model that this account may use",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: Option<u64>, text: &str) -> ClaudeResult {
        ClaudeResult {
            is_error: true,
            api_error_status: status,
            result: Some(text.to_owned()),
            ..ClaudeResult::default()
        }
    }

    #[test]
    fn the_clis_word_decides_and_without_one_its_sentence_and_the_status() {
        let word = |word: &str| ClaudeResult {
            api_error: Some(word.to_owned()),
            ..error(Some(403), "API Error: 403")
        };
        for (result, expected) in [
            (word("account_on_hold"), Some(DeadEnd::Hold)),
            (word("verification_required"), Some(DeadEnd::Verification)),
            (word("cloud_credential_error"), Some(DeadEnd::CloudLogin)),
            (word("model_not_found"), Some(DeadEnd::Model)),
            (word("a_new_word"), None),
            (error(Some(402), "API Error: 402"), Some(DeadEnd::Billing)),
            (error(Some(400), "Your credit balance is too low to use"), Some(DeadEnd::Credits)),
            (error(None, "This organization has been disabled."), Some(DeadEnd::Hold)),
            (
                error(Some(404), "There's an issue with the selected model (x)"),
                Some(DeadEnd::Model),
            ),
            (error(Some(400), "API Error: 400"), None),
        ] {
            assert_eq!(DeadEnd::of(None, Some(&result)), expected, "{result:?}");
        }
        let only_in_errors = ClaudeResult {
            result: None,
            errors: vec!["Credit balance is too low".to_owned()],
            ..error(None, "")
        };
        assert_eq!(DeadEnd::of(None, Some(&only_in_errors)), Some(DeadEnd::Credits));
    }

    #[test]
    fn what_only_a_person_can_put_right_is_known_by_its_sentence_whatever_its_status() {
        for (text, expected) in [
            ("Extra usage is required for 1M context \u{b7} use --model", DeadEnd::LongContext),
            ("Extra usage is required for long context requests.", DeadEnd::LongContext),
            ("Please verify your e-mail first: verify your email address", DeadEnd::Verification),
            ("Your subscription does not include Claude Code.", DeadEnd::Subscription),
            ("Claude is not available in your region", DeadEnd::Region),
            ("Please accept the updated terms of service", DeadEnd::Terms),
            (
                "API Error: Token is expired. To refresh this SSO session run 'aws sso login'.",
                DeadEnd::CloudLogin,
            ),
            ("Reauthentication is needed. Please run `gcloud auth login`", DeadEnd::CloudLogin),
        ] {
            for status in [None, Some(400), Some(403), Some(429)] {
                let found = DeadEnd::of(None, Some(&error(status, text)));
                assert_eq!(found, Some(expected), "{status:?} {text}");
            }
        }
        let of = |status, text: &str| DeadEnd::of(None, Some(&error(Some(status), text)));
        assert_eq!(of(401, "OAuth token has expired"), None);
        assert_eq!(of(400, "This request may violate our terms of service"), None, "a task's own");
    }

    #[test]
    fn what_an_agent_writes_of_payments_after_its_work_is_none() {
        let of = |text: &str| {
            let result = ClaudeResult { num_turns: Some(20), ..error(None, text) };
            DeadEnd::of(None, Some(&result))
        };
        assert_eq!(of("The test of the payment method fails: the order is on hold."), None);
        assert_eq!(of("Payment method tests are red, see the log."), None);
        assert_eq!(of("Checkout needs terms of service, which the page lacks."), None);
        assert_eq!(of("Credit balance is too low"), Some(DeadEnd::Credits));
        assert_eq!(of("Your account has been suspended"), Some(DeadEnd::Hold));
    }

    #[test]
    fn trouble_of_the_api_and_the_words_of_an_answer_are_none() {
        let trouble = error(Some(529), "Credit balance is too low");
        assert_eq!(DeadEnd::of(None, Some(&trouble)), None);
        let answer = ClaudeResult { is_error: false, ..error(None, "Credit balance is too low") };
        assert_eq!(DeadEnd::of(None, Some(&answer)), None);
        let long = error(None, &"payment method ".repeat(100));
        assert_eq!(DeadEnd::of(None, Some(&long)), None, "no sentence of the CLI's");
    }

    #[test]
    fn a_limit_that_time_does_not_lift_is_one_and_one_that_names_its_end_is_not() {
        let report = |resets_at_s| LimitReport {
            message: "five_hour".to_owned(),
            resets_at_s,
            kind: None,
            blocked_by: Some("out_of_credits".to_owned()),
        };
        assert_eq!(DeadEnd::of(Some(&report(None)), None), Some(DeadEnd::Credits));
        assert_eq!(DeadEnd::of(Some(&report(Some(1_790_000_000))), None), None);
    }
}
