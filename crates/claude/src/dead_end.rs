//! Refusals of the API that no wait lifts: a person must act.
//!
//! By the CLI's own word where it has one, else by the status, else by its sentence. Only errors are read: what
//! a model says in an answer is never one. Pure; called by the supervisor at an attempt's end.

use cc_link::event::{ClaudeResult, LimitReport};

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
    /// There is no such model, or not for this account.
    Model,
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

/// Its sentences, in lower case.
const SENTENCES: [(&str, DeadEnd); 19] = [
    ("credit balance is too low", DeadEnd::Credits),
    ("credits are required", DeadEnd::Credits),
    ("out of credits", DeadEnd::Credits),
    ("insufficient credits", DeadEnd::Credits),
    ("insufficient credit balance", DeadEnd::Credits),
    ("payment required", DeadEnd::Billing),
    ("payment method", DeadEnd::Billing),
    ("billing_error", DeadEnd::Billing),
    ("billing issue", DeadEnd::Billing),
    ("is on hold", DeadEnd::Hold),
    ("organization has been disabled", DeadEnd::Hold),
    ("account has been disabled", DeadEnd::Hold),
    ("account has been suspended", DeadEnd::Hold),
    ("verification is required", DeadEnd::Verification),
    ("verify your account", DeadEnd::Verification),
    ("verify your identity", DeadEnd::Verification),
    ("could not load the default credentials", DeadEnd::CloudLogin),
    ("could not load credentials from any providers", DeadEnd::CloudLogin),
    ("issue with the selected model", DeadEnd::Model),
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
        let texts = result.result.iter().chain(&result.errors);
        let sentence = |text: &String| {
            let text = (text.len() <= TEXT_BYTES_LIMIT).then(|| text.to_ascii_lowercase())?;
            SENTENCES.iter().find(|(known, _)| text.contains(known)).map(|(_, found)| *found)
        };
        let by_sentence = texts.into_iter().find_map(sentence);
        by_sentence.or_else(|| (result.api_error_status == Some(402)).then_some(Self::Billing))
    }

    /// It concerns every task of the account, and not only those of one model.
    #[must_use]
    pub fn is_of_account(self) -> bool {
        self != Self::Model
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
