//! A moment as people write it.
//!
//! `2026-03-14T15:09:26.5Z`, with another offset than `Z` too (RFC 3339), a day
//! for its first moment in UTC, or `@` and the seconds since 1970, as
//! `date +@%s` says it. Nothing is guessed: there is no local time.

use log_facade::Timestamp;

const NANOS: u64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// What people are told who write something else.
const FORMS: &str = "a moment is 2026-03-14T15:09:26Z, 2026-03-14 or @1773500966";

/// The moment that `text` says.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let moment = match text.strip_prefix('@') {
        Some(seconds) => since_epoch(seconds),
        None => of_calendar(text),
    };
    moment.map(Timestamp).ok_or_else(|| FORMS.to_owned())
}

fn since_epoch(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    nanos(i64::try_from(digits(seconds)?).ok()?, fraction)
}

fn of_calendar(text: &str) -> Option<u64> {
    let (day, time) = match text.split_once(['T', 't', ' ']) {
        Some((day, time)) => (day, time),
        None => (text, "00:00:00Z"),
    };
    let (time, offset_seconds) = split_offset(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    // A leap second counts as the one behind it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = day_number(day)? * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    nanos(seconds - offset_seconds, fraction)
}

/// The time without its offset from UTC, and that in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at(at);
    let [hours, minutes] = fields(offset.get(1..)?, ':', [2, 2])?;
    let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
    Some((
        time,
        if offset.starts_with('-') {
            -seconds
        } else {
            seconds
        },
    ))
}

/// Days from 1970-01-01 to `YYYY-MM-DD`.
fn day_number(text: &str) -> Option<i64> {
    let [year, month, day] = fields(text, '-', [4, 2, 2])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let years = year.checked_sub(1)?;
    let days_to_year = years * 365 + years / 4 - years / 100 + years / 400;
    let days_to_month: i64 = lengths.iter().take(before).sum();
    const TO_1970: i64 = 719_162;
    Some(days_to_year + days_to_month + day - 1 - TO_1970)
}

/// Numbers of just so many digits.
fn fields<const N: usize>(text: &str, between: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = i64::try_from(digits(part)?).ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// A moment has no sign; behind nine digits of a fraction there is nothing.
fn nanos(seconds: i64, fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = digits(&format!("{fraction:0<9}")[..9])?;
    let seconds = u64::try_from(seconds).ok()?;
    seconds.checked_mul(NANOS)?.checked_add(fraction)
}

/// Unlike `parse`, takes no sign.
fn digits(text: &str) -> Option<u64> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_what_the_calendar_says() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("@0", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29", 951_782_400),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2026-03-14T15:09:26Z", 1_773_500_966),
            ("2026-03-14 17:09:26+02:00", 1_773_500_966),
            ("2026-03-14t09:39:26-05:30", 1_773_500_966),
            ("@1773500966", 1_773_500_966),
            ("2100-03-01", 4_107_542_400),
            ("1972-06-30T23:59:60Z", 78_796_800),
        ] {
            assert_eq!(parse(text), Ok(Timestamp(seconds * NANOS)), "{text}");
        }
    }

    #[test]
    fn a_fraction_counts_to_the_nanosecond() {
        for (text, nanos) in [
            ("@1.5", 1_500_000_000),
            ("@1.000000001", 1_000_000_001),
            ("@1.0000000019", 1_000_000_001),
            ("1970-01-01T00:00:00.25Z", 250_000_000),
            ("1970-01-01T01:00:00.25+01:00", 250_000_000),
        ] {
            assert_eq!(parse(text), Ok(Timestamp(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "@",
            "@-1",
            "@1.",
            "@1.x",
            "@99999999999999999999",
            "now",
            "12",
            "2026-3-14",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "2026-03-14T15:09Z",
            "2026-03-14T15:09:26",
            "2026-03-14T24:00:00Z",
            "2026-03-14T15:60:00Z",
            "2026-03-14T15:09:26+2",
            "2026-03-14T15:09:26é",
            "99999-01-01",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
