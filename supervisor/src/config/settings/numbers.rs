//! Numbers: counts, bytes, time spans, a file mode creation mask.

use std::time::Duration;

use crate::config::{
    error::ValueError,
    limits,
    settings::kind::{Kind, Shape},
};

fn whole_number(text: &str, least: u64, most: u64) -> Result<u64, ValueError> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(ValueError::Count { least, most })
}

/// How many of something there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) least: u64,
    pub(crate) most: usize,
}

impl Kind for Count {
    type Value = usize;

    fn shape(&self) -> Shape {
        Shape::Number
    }

    fn value_name(&self) -> &'static str {
        "N"
    }

    fn allowed(&self) -> Option<String> {
        Some(format!("{} to {}", self.least, self.most))
    }

    fn parse(&self, text: &str) -> Result<usize, ValueError> {
        whole_number(text, self.least, self.most as u64).map(|number| number as usize)
    }
}

/// How many bytes there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Kind for Bytes {
    type Value = u64;

    fn shape(&self) -> Shape {
        Shape::Number
    }

    fn value_name(&self) -> &'static str {
        "BYTES"
    }

    fn allowed(&self) -> Option<String> {
        Some(format!("{} to {}", self.least, self.most))
    }

    fn parse(&self, text: &str) -> Result<u64, ValueError> {
        whole_number(text, self.least, self.most)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Days {
    pub(crate) most: f64,
}

impl Kind for Days {
    type Value = Duration;

    fn shape(&self) -> Shape {
        Shape::Number
    }

    fn value_name(&self) -> &'static str {
        "DAYS"
    }

    fn allowed(&self) -> Option<String> {
        Some(format!("0 to {}", self.most))
    }

    fn parse(&self, text: &str) -> Result<Duration, ValueError> {
        let days = text.trim().parse::<f64>().ok().filter(|days| (0.0..=self.most).contains(days));
        let days = days.ok_or(ValueError::Days { most: self.most })?;
        Ok(Duration::from_secs_f64(days * 86_400.0))
    }
}

/// A time span. At 0 nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds;

/// A time span of more than 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PositiveSeconds;

/// A bound on a time. At 0 there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecondsOrUnbounded;

impl Kind for Seconds {
    type Value = Duration;

    fn shape(&self) -> Shape {
        Shape::Number
    }

    fn value_name(&self) -> &'static str {
        "SECONDS"
    }

    fn allowed(&self) -> Option<String> {
        Some(format!("0 to {}", limits::MOST_SECONDS))
    }

    fn parse(&self, text: &str) -> Result<Duration, ValueError> {
        let most = limits::MOST_SECONDS;
        let seconds =
            text.trim().parse::<f64>().ok().filter(|seconds| (0.0..=most).contains(seconds));
        seconds.map(Duration::from_secs_f64).ok_or(ValueError::Seconds { most })
    }
}

impl Kind for PositiveSeconds {
    type Value = Duration;

    fn shape(&self) -> Shape {
        Seconds.shape()
    }

    fn value_name(&self) -> &'static str {
        Seconds.value_name()
    }

    fn allowed(&self) -> Option<String> {
        Some(format!("more than 0, up to {}", limits::MOST_SECONDS))
    }

    fn parse(&self, text: &str) -> Result<Duration, ValueError> {
        Some(Seconds.parse(text)?).filter(|span| !span.is_zero()).ok_or(ValueError::NoTime)
    }
}

impl Kind for SecondsOrUnbounded {
    type Value = Option<Duration>;

    fn shape(&self) -> Shape {
        Seconds.shape()
    }

    fn value_name(&self) -> &'static str {
        Seconds.value_name()
    }

    fn allowed(&self) -> Option<String> {
        Seconds.allowed()
    }

    fn parse(&self, text: &str) -> Result<Option<Duration>, ValueError> {
        Seconds.parse(text).map(|bound| Some(bound).filter(|bound| !bound.is_zero()))
    }
}

/// A file mode creation mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Umask;

impl Kind for Umask {
    type Value = u32;

    fn value_name(&self) -> &'static str {
        "OCTAL"
    }

    fn allowed(&self) -> Option<String> {
        Some("000 to 777".to_owned())
    }

    fn parse(&self, text: &str) -> Result<u32, ValueError> {
        let mask = u32::from_str_radix(text.trim(), 8).ok().filter(|mask| *mask <= 0o777);
        mask.ok_or(ValueError::Octal)
    }
}
