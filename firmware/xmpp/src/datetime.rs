//! The DateTime profile of XEP-0082: how a moment is written in stamps (XEP-0203) and queries (XEP-0313).

use jiff::{Timestamp, civil, tz::Offset};

/// `YYYY-MM-DDThh:mm:ss[.sss]Z` from milliseconds since 1970 (XEP-0082 §3.2); the fraction only where there
/// is one. Moments after the year 9999 are written as its end.
pub fn format(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let utc = Offset::UTC.to_datetime(moment.unwrap_or(Timestamp::MAX));
    let seconds = utc.strftime("%Y-%m-%dT%H:%M:%S");
    match utc.millisecond() {
        0 => format!("{seconds}Z"),
        fraction => format!("{seconds}.{fraction:03}Z"),
    }
}

/// Milliseconds since 1970 of a DateTime with any offset (XEP-0082 §3.2); finer fractions are cut off.
/// Moments before 1970 count as 1970: nothing here is older, and a search from then on means everything.
pub fn parse(text: &str) -> Option<u64> {
    let (date_time, rest) = text.split_at_checked("YYYY-MM-DDThh:mm:ss".len())?;
    let [year, month, day, hour, minute, second] =
        numbers(date_time, ["", "-", "-", "T", ":", ":"], [4, 2, 2, 2, 2, 2])?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    let milliseconds = format!("{fraction:0<3}")
        .get(..3)
        .and_then(|digits| digits.parse::<i32>().ok());
    let (year, [month, day, hour, minute, second]) =
        (year, [month, day, hour, minute, second].map(|n| n as i8));
    let nanoseconds = milliseconds.filter(|_| !fraction.is_empty())? * 1_000_000;
    let local = civil::DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok()?;
    // What is too late for a timestamp is the last day or so of the year 9999.
    let moment = offset(zone)?.to_timestamp(local);
    let moment = moment.unwrap_or(if year > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    });
    Some(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}

/// `Z`, `+hh:mm` or `-hh:mm`, up to 14 hours as in XML Schema, which rules where XEP-0082 is silent.
fn offset(zone: &str) -> Option<Offset> {
    if zone == "Z" {
        return Some(Offset::UTC);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&zone[1..], ["", ":"], [2, 2])?.map(i32::from);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 14 * 60).then(|| Offset::from_seconds(sign * total * 60).ok())?
}

/// Numbers of exactly so many digits, each behind its separator, and nothing more.
fn numbers<const N: usize>(
    text: &str,
    separators: [&str; N],
    digits: [usize; N],
) -> Option<[i16; N]> {
    let mut rest = text;
    let mut found = [0; N];
    for ((number, separator), digits) in found.iter_mut().zip(separators).zip(digits) {
        let (written, behind) = rest.strip_prefix(separator)?.split_at_checked(digits)?;
        *number = written
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| written.parse().ok())??;
        rest = behind;
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (1_031_699_305_000, "2002-09-10T23:08:25Z"),
            (1_031_699_305_007, "2002-09-10T23:08:25.007Z"),
            (1_031_699_305_500, "2002-09-10T23:08:25.500Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ];
        for (unix_ms, text) in rows {
            assert_eq!(format(unix_ms), text);
        }
    }

    #[test]
    fn moments_are_read_with_any_offset_and_fraction() {
        let rows = [
            ("1970-01-01T00:00:00Z", 0),
            ("2002-09-10T23:08:25Z", 1_031_699_305_000),
            ("2002-09-10T23:08:25.0Z", 1_031_699_305_000),
            ("2002-09-10T23:08:25.5Z", 1_031_699_305_500),
            ("2002-09-10T23:08:25.007Z", 1_031_699_305_007),
            ("2002-09-10T23:08:25.0079999999999999Z", 1_031_699_305_007),
            ("2002-09-10T23:08:25+00:00", 1_031_699_305_000),
            ("2002-09-10T23:08:25-00:00", 1_031_699_305_000),
            ("2002-09-11T04:53:25.25+05:45", 1_031_699_305_250),
            ("2002-09-10T18:08:25-05:00", 1_031_699_305_000),
            ("2002-09-11T13:08:25+14:00", 1_031_699_305_000),
            ("1970-01-01T00:00:00+01:00", 0),
            // §3.2, the first steps on the Moon.
            ("1969-07-21T02:56:15Z", 0),
            ("1969-07-20T21:56:15-05:00", 0),
            ("0001-01-01T00:00:00Z", 0),
            ("0000-01-01T00:00:00+01:00", 0),
            ("9999-12-31T23:59:59Z", 253_402_207_200_999),
        ];
        for (text, unix_ms) in rows {
            assert_eq!(parse(text), Some(unix_ms), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let rows = [
            "",
            "2002",
            "2002-09-10",
            "2002-09-10T23:08:25",
            "2002-09-10T23:08Z",
            "20020910T23:08:25",
            "2002-09-10 23:08:25Z",
            "2002-09-10t23:08:25z",
            "2002-09-10T23:08:25Z ",
            " 2002-09-10T23:08:25Z",
            "2002-09-10T23:08:25ZZ",
            "2002-09-10T23:08:25.Z",
            "2002-09-10T23:08:25,5Z",
            "2002-09-10T23:08:25.5",
            "2002-09-10T23:08:25.5xZ",
            "2002-09-10T23:08:25+5:00",
            "2002-09-10T23:08:25+0500",
            "2002-09-10T23:08:25+05",
            "2002-09-10T23:08:25+05:60",
            "2002-09-10T23:08:25+14:01",
            "2002-09-10T23:08:25+05:00[Europe/Rome]",
            "2002-09-10T23:08:25\u{2212}05:00",
            "2002-13-10T23:08:25Z",
            "2002-02-29T23:08:25Z",
            "2002-09-00T23:08:25Z",
            "2002-09-10T24:08:25Z",
            "2002-09-10T23:60:25Z",
            "2002-09-10T23:08:60Z",
            "-002-09-10T23:08:25Z",
            "+2002-09-10T23:08:25Z",
            "12002-09-10T23:08:25Z",
            "2002-+9-10T23:08:25Z",
            "２002-09-10T23:08:25Z",
            "2002-09-10T23:08:2٥Z",
        ];
        for text in rows {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unix_ms in 0..253_402_207_200_000_u64) {
            prop_assert_eq!(parse(&format(unix_ms)), Some(unix_ms));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9TZ:.+-]{17,24}") {
            parse(&text);
        }
    }
}
