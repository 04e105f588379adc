//! A usage limit of a subscription, as the API refuses because of one: status 429, with headers that
//! say which limit it is and when it ends. The CLI, where it has a login, makes a
//! `rate_limit_event` of them and does not try again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One limit: it begins with a request, and ends at a second.
#[derive(Debug)]
pub struct Limit {
    begins_with: u64,
    lasts: Duration,
    ends_at_s: Option<u64>,
    refused: u64,
}

/// That a request met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Seconds since the epoch.
    pub ends_at_s: u64,
}

impl Limit {
    /// Nobody has met it yet.
    #[must_use]
    pub fn new(begins_with: u64, lasts: Duration) -> Self {
        Self { begins_with, lasts, ends_at_s: None, refused: 0 }
    }

    /// Whether the request with this number is refused.
    pub fn meet(&mut self, number: u64) -> Option<Refusal> {
        if number < self.begins_with {
            return None;
        }
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ends_at_s = *self.ends_at_s.get_or_insert(now_s + self.lasts.as_secs());
        if now_s >= ends_at_s {
            return None;
        }
        self.refused += 1;
        Some(Refusal { ends_at_s })
    }

    /// How many requests it has refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl Refusal {
    /// What the answer says about it.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
            ("anthropic-ratelimit-unified-reset", self.ends_at_s.to_string()),
            ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
            ("anthropic-ratelimit-unified-overage-status", "rejected".to_owned()),
        ]
    }
}

/// What an answer says of a limit that the script makes up, whose end is in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It is reached: the answer is a refusal. In the API's word for the limit, such as `seven_day_opus`.
    Reached(String),
    /// It is reached, and extra usage pays for the answer.
    Bridged,
    /// Most of it is used.
    Near,
}

impl Usage {
    /// The headers that say so.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        const STATUS: &str = "anthropic-ratelimit-unified-status";
        const CLAIM: &str = "anthropic-ratelimit-unified-representative-claim";
        const OVERAGE: &str = "anthropic-ratelimit-unified-overage-status";
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let resets = (now_s + 3_600).to_string();
        let mut headers = match self {
            Self::Reached(claim) => {
                vec![(STATUS, "rejected"), (CLAIM, claim), (OVERAGE, "rejected")]
            }
            Self::Bridged => vec![
                (STATUS, "rejected"),
                (CLAIM, "five_hour"),
                (OVERAGE, "allowed"),
                ("anthropic-ratelimit-unified-overage-in-use", "true"),
            ],
            Self::Near => vec![
                (STATUS, "allowed_warning"),
                (CLAIM, "five_hour"),
                ("anthropic-ratelimit-unified-5h-utilization", "0.93"),
                ("anthropic-ratelimit-unified-5h-reset", &resets),
            ],
        };
        headers.push(("anthropic-ratelimit-unified-reset", &resets));
        headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }
}
