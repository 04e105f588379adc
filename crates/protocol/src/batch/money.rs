//! Amounts of money as text for people.

/// An amount of money for people, the same wherever one is shown: `1.20 USD`, `0.0123 USD`. At least cents, which
/// would hide what a short task costs, and at most hundredths of them; programs get the number as it is.
#[must_use]
pub fn usd(amount: f64) -> String {
    const LEAST_SHOWN: f64 = 0.000_05;
    if amount > 0.0 && amount < LEAST_SHOWN {
        return "<0.0001 USD".to_owned();
    }
    let text = format!("{amount:.4}");
    let cents = text.len().saturating_sub(2);
    let (whole, hundredths) = text.split_at(cents);
    format!("{whole}{} USD", hundredths.trim_end_matches('0'))
}

/// A sum of money for people, of which so many parts are not known: `at least 1.20 USD`, or `unknown`.
#[must_use]
pub fn usd_at_least(amount: f64, unknown_costs: u64) -> String {
    match unknown_costs {
        0 => usd(amount),
        _ if amount > 0.0 => format!("at least {}", usd(amount)),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_cents_and_the_hundredths_of_them_that_are_there() {
        for (amount, expected) in [
            (0.0, "0.00 USD"),
            (0.01, "0.01 USD"),
            (0.015, "0.015 USD"),
            (0.0123, "0.0123 USD"),
            (0.1 + 0.2, "0.30 USD"),
            (12.345, "12.345 USD"),
            (1_000.0, "1000.00 USD"),
            (0.000_01, "<0.0001 USD"),
        ] {
            assert_eq!(usd(amount), expected);
        }
    }
}
