//! A time in words, in lower case: `resets mar 3 at 5:30am (america/new_york)`.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime, Time, Weekday},
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};

/// A number of seconds since the epoch has ten digits until the year 2286; one of 13 is milliseconds.
const EPOCH_S_LEAST: u64 = 1_000_000_000;
const EPOCH_S_MOST: u64 = 9_999_999_999;

/// What stands before a time.
const BEFORE_TIME: [&str; 10] = [
    "reset",
    "try again",
    "retry after",
    "retry in",
    "available",
    "wait",
    "until",
    "renew",
    "refresh",
    "come back",
];
/// Words between that and the time.
const FILLERS: [&str; 10] =
    ["s", "es", "ting", "again", "at", "on", "after", "by", "your limit", "will"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Short names that the CLI's runtime gives to zones of its home, and to no others.
const ZONE_NAMES: [(&str, &str); 8] = [
    ("pst", "America/Los_Angeles"),
    ("pdt", "America/Los_Angeles"),
    ("mst", "America/Denver"),
    ("mdt", "America/Denver"),
    ("cst", "America/Chicago"),
    ("cdt", "America/Chicago"),
    ("est", "America/New_York"),
    ("edt", "America/New_York"),
];
/// A time of day that has passed by so much is the one that was meant: the limit has just ended, whatever the API
/// still says, or a clock is wrong. One that has passed by more is that of the next day. Whoever takes it for
/// passed looks again in minutes, so that a mistake costs little; the other mistake costs a day.
const JUST_PASSED: SignedDuration = SignedDuration::from_hours(3);
/// A date without a year that has passed by more than this is next year's.
const DATE_PASSED: SignedDuration = SignedDuration::from_hours(180 * 24);

/// A number of seconds, or of milliseconds, since the epoch.
pub(super) fn epoch_s(number: u64) -> Option<u64> {
    let is_seconds = |number: &u64| (EPOCH_S_LEAST..=EPOCH_S_MOST).contains(number);
    [number, number / 1000].into_iter().find(is_seconds)
}

/// The first time that the text tells of, seconds since the epoch.
pub(super) fn in_words(text: &str, now_s: u64, default_zone: &str) -> Option<u64> {
    let now = Timestamp::from_second(i64::try_from(now_s).ok()?).ok()?;
    let mut starts: Vec<usize> = BEFORE_TIME
        .iter()
        .flat_map(|words| text.match_indices(words).map(|(start, words)| start + words.len()))
        .collect();
    starts.sort_unstable();
    starts.into_iter().find_map(|start| {
        let mut cursor = Cursor { rest: &text[start..] };
        cursor.skip_fillers();
        let at = cursor.moment(now, default_zone)?;
        u64::try_from(at.as_second()).ok()
    })
}

/// Which day a text names.
#[derive(Clone, Copy)]
enum Day {
    None,
    Date(Date),
    WithoutYear { month: i8, day: i8 },
    Weekday(Weekday),
    Today,
    Tomorrow,
}

/// What is left of the text.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn moment(&mut self, now: Timestamp, default_zone: &str) -> Option<Timestamp> {
        self.spaces();
        // "In 5 minutes", and "after 5 minutes".
        let is_duration = self.word("in");
        let mut ahead = *self;
        match ahead.duration() {
            Some(duration) => return now.checked_add(duration).ok(),
            None if is_duration => return None,
            None => {}
        }
        let mut digits = *self;
        if let Some(seconds) = digits.number().and_then(epoch_s) {
            return Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        }
        if let Some(at) = self.iso_instant() {
            return Some(at);
        }
        let day = self.day()?;
        self.skip_fillers();
        let time = match self.time()? {
            Some(time) => time,
            // "Resets Mar 3": with its beginning.
            None if matches!(day, Day::None) => return None,
            None => Time::midnight(),
        };
        let zone = self.zone(default_zone)?;
        resolve(day, time, &zone, now)
    }

    fn spaces(&mut self) {
        self.rest =
            self.rest.trim_start_matches([' ', '\u{a0}', '\u{202f}', ',', ':', '·', '\n', '\t']);
    }

    /// Takes `word` if it stands here and no letter follows.
    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        let ends = !rest.starts_with(|letter: char| letter.is_ascii_alphabetic());
        if ends {
            self.rest = rest;
        }
        ends
    }

    fn skip_fillers(&mut self) {
        loop {
            self.spaces();
            if !FILLERS.iter().any(|filler| self.word(filler)) {
                return;
            }
        }
    }

    fn letters(&mut self) -> &'a str {
        let end = self.rest.find(|letter: char| !letter.is_ascii_alphabetic());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.rest.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some(number)
    }

    /// `5 minutes`, `2h 15m`, `1 day and 3 hours`.
    fn duration(&mut self) -> Option<SignedDuration> {
        let mut seconds: u64 = 0;
        let mut found = false;
        loop {
            self.spaces();
            if self.word("and") || self.word("about") {
                continue;
            }
            let mut ahead = *self;
            let count = match ahead.number() {
                Some(count) => count,
                None if !found && (ahead.word("a") || ahead.word("an")) => 1,
                None => break,
            };
            ahead.spaces();
            let unit = match ahead.letters() {
                "s" | "sec" | "secs" | "second" | "seconds" => 1,
                "m" | "min" | "mins" | "minute" | "minutes" => 60,
                "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
                "d" | "day" | "days" => 86_400,
                "w" | "wk" | "wks" | "week" | "weeks" => 7 * 86_400,
                _ => break,
            };
            seconds = seconds.checked_add(count.checked_mul(unit)?)?;
            found = true;
            *self = ahead;
        }
        // More than a year is no limit that there is.
        let is_sound = found && seconds <= 366 * 86_400;
        is_sound.then(|| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// `2026-03-03t05:30:00z`, with an offset or `z`.
    fn iso_instant(&mut self) -> Option<Timestamp> {
        let end = self.rest.find([' ', ',', ')', ';']).unwrap_or(self.rest.len());
        self.rest[..end].trim_end_matches('.').to_ascii_uppercase().parse().ok()
    }

    /// A day, if one stands here; `None` for one that there is not.
    fn day(&mut self) -> Option<Day> {
        if self.word("tomorrow") {
            return Some(Day::Tomorrow);
        }
        if self.word("today") {
            return Some(Day::Today);
        }
        let mut ahead = *self;
        let word = ahead.letters();
        if let Some(month) = month(word) {
            ahead.spaces();
            let day = ahead.number()?;
            *self = ahead;
            return self.year(month, day);
        }
        if word.len() >= 3
            && let Some((_, weekday)) = WEEKDAYS.iter().find(|(name, _)| word.starts_with(name))
        {
            *self = ahead;
            return Some(Day::Weekday(*weekday));
        }
        // "3 mar", and "2026-03-03".
        let mut ahead = *self;
        let Some(number) = ahead.number() else { return Some(Day::None) };
        if let Some(date) = self.rest.get(..10).and_then(|text| text.parse::<Date>().ok()) {
            self.rest = &self.rest[10..];
            self.rest = self.rest.strip_prefix('t').unwrap_or(self.rest);
            return Some(Day::Date(date));
        }
        ahead.spaces();
        match month(ahead.letters()) {
            Some(month) => {
                *self = ahead;
                self.year(month, number)
            }
            None => Some(Day::None),
        }
    }

    /// After a month and a day: the rest of an ordinal, and the year if there is one.
    fn year(&mut self, month: i8, day: u64) -> Option<Day> {
        let day = i8::try_from(day).ok()?;
        for ordinal in ["st", "nd", "rd", "th"] {
            self.word(ordinal);
        }
        self.spaces();
        let mut ahead = *self;
        match ahead.number() {
            Some(year @ 2000..=2999) => {
                *self = ahead;
                Date::new(i16::try_from(year).ok()?, month, day).ok().map(Day::Date)
            }
            Some(_) | None => Some(Day::WithoutYear { month, day }),
        }
    }

    /// A time of day: `Some(None)` where none stands here, `None` for one that there is not.
    fn time(&mut self) -> Option<Option<Time>> {
        self.spaces();
        if self.word("noon") {
            return Some(Some(Time::constant(12, 0, 0, 0)));
        }
        if self.word("midnight") {
            return Some(Some(Time::midnight()));
        }
        let Some(hour) = self.number() else { return Some(None) };
        let mut parts = [0_i8; 2];
        let mut has_minutes = false;
        for part in &mut parts {
            if let Some(rest) = self.rest.strip_prefix(':') {
                self.rest = rest;
                *part = i8::try_from(self.number()?).ok()?;
                has_minutes = true;
            }
        }
        self.spaces();
        let hour = i8::try_from(hour).ok()?;
        let hour = match self.half() {
            Some(_) if !(1..=12).contains(&hour) => return None,
            Some(half) => hour % 12 + half,
            // A bare number is no time.
            None if !has_minutes => return None,
            None => hour,
        };
        Time::new(hour, parts[0], parts[1], 0).ok().map(Some)
    }

    /// `am` or `pm`: the hours that it adds.
    fn half(&mut self) -> Option<i8> {
        for (names, hours) in [(["am", "a.m."], 0), (["pm", "p.m."], 12)] {
            if names.iter().any(|name| self.word(name)) {
                return Some(hours);
            }
        }
        None
    }

    /// `(asia/shanghai)`, `(gmt+8)`, `utc`; `None` for one that there is not.
    fn zone(&mut self, default_zone: &str) -> Option<TimeZone> {
        self.spaces();
        let name = match self.rest.strip_prefix('(') {
            Some(inside) => inside.split(')').next()?.trim(),
            None if self.word("utc") || self.word("gmt") || self.word("z") => "utc",
            None => default_zone,
        };
        zone(name)
    }
}

fn month(word: &str) -> Option<i8> {
    let place = MONTHS.iter().position(|name| word.starts_with(name))?;
    i8::try_from(place + 1).ok()
}

fn zone(name: &str) -> Option<TimeZone> {
    let lower = name.to_ascii_lowercase();
    if lower == "z" || lower == "utc" || lower == "gmt" {
        return Some(TimeZone::UTC);
    }
    if let Some(offset) = lower.strip_prefix("gmt").or_else(|| lower.strip_prefix("utc")) {
        return offset_zone(offset);
    }
    let known = ZONE_NAMES.iter().find(|(short, _)| *short == lower);
    let name = known.map_or(name, |(_, name)| name);
    TimeZoneDatabase::bundled().get(name).ok()
}

/// `+8`, `-3:30`.
fn offset_zone(text: &str) -> Option<TimeZone> {
    let (sign, text) = match text.strip_prefix('+') {
        Some(text) => (1, text),
        None => (-1, text.strip_prefix(['-', '\u{2212}'])?),
    };
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
    let hours: i32 = hours.parse().ok().filter(|hours| (0..=14).contains(hours))?;
    let minutes: i32 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes))?;
    let offset = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?;
    Some(TimeZone::fixed(offset))
}

fn resolve(day: Day, time: Time, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let today = zone.to_datetime(now).date();
    let at = |date: Date| instant(date.to_datetime(time), zone, now);
    let just_now = now.checked_sub(JUST_PASSED).ok()?;
    match day {
        Day::Date(date) => at(date),
        Day::Today => at(today),
        Day::Tomorrow => at(today.tomorrow().ok()?),
        Day::None => [today.yesterday(), Ok(today), today.tomorrow()]
            .into_iter()
            .filter_map(|date| at(date.ok()?))
            .find(|at| *at >= just_now),
        Day::Weekday(weekday) => {
            let days = weekday.since(today.weekday());
            let first = today.checked_add(days.days()).ok()?;
            let next = || at(first.checked_add(7.days()).ok()?);
            at(first).filter(|at| *at >= just_now).or_else(next)
        }
        Day::WithoutYear { month, day } => {
            let of_year = |year: i16| Date::new(year, month, day).ok().and_then(at);
            let long_ago = now.checked_sub(DATE_PASSED).ok()?;
            // In January "Dec 31" is yesterday's; in December "Jan 2" is next year's.
            [today.year() - 1, today.year(), today.year() + 1]
                .into_iter()
                .filter_map(of_year)
                .find(|at| *at >= long_ago)
        }
    }
}

/// A time that a zone skips is counted with the offset before; of two, the first that is to come.
fn instant(datetime: DateTime, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(datetime);
    let by = |offset: Offset| offset.to_timestamp(datetime).ok();
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => by(offset),
        AmbiguousOffset::Gap { before, .. } => by(before),
        AmbiguousOffset::Fold { before, after } => {
            by(before).filter(|at| *at > now).or_else(|| by(after))
        }
    }
}
