//! Schedule: the hours in which a machine may train, by day of the week, in local time.

use std::fmt;
use std::str::FromStr;

const MINUTES_A_DAY: u16 = 24 * 60;
const DAYS: usize = 7;

/// Day of the week. Discriminants count from Monday, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    pub const ALL: [Self; DAYS] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// Returns the weekday `days` days later.
    pub const fn plus(self, days: usize) -> Self {
        Self::ALL[(self as usize + days) % DAYS]
    }

    /// Three-letter abbreviation.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Monday => "Mon",
            Self::Tuesday => "Tue",
            Self::Wednesday => "Wed",
            Self::Thursday => "Thu",
            Self::Friday => "Fri",
            Self::Saturday => "Sat",
            Self::Sunday => "Sun",
        }
    }
}

/// Time window that starts on one day. If it ends no later than it starts, it ends on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Minutes since midnight, below 1440.
    from: u16,
    /// End, exclusive: minutes since midnight, at most 1440.
    to: u16,
}

/// Time windows of each weekday. A schedule without windows allows every hour.
///
/// Text form: `Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule([Vec<Window>; DAYS]);

/// Error for text that is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a schedule such as 'Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00'")]
pub struct InvalidSchedule(String);

impl Schedule {
    /// Whether training is allowed in this minute of this day.
    pub fn allows(&self, day: Weekday, minutes: u16) -> bool {
        self.is_always()
            || self.0[day as usize].iter().any(|window| {
                let ends_here = minutes < window.to || window.to <= window.from;
                window.from <= minutes && ends_here
            })
            || self.0[day.plus(DAYS - 1) as usize]
                .iter()
                .any(|window| window.to <= window.from && minutes < window.to)
    }

    /// Whether every hour is allowed.
    pub fn is_always(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    /// Parses the text form. Blank text allows every hour.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidSchedule(text.to_owned());
        let mut schedule = Self::default();
        if text.trim().is_empty() {
            return Ok(schedule);
        }
        let plain = text.replace('–', "-");
        for part in plain.split(',') {
            let (days, hours) = part.trim().split_once(' ').ok_or_else(wrong)?;
            let window = window(hours.trim()).ok_or_else(wrong)?;
            for day in days_of(days).ok_or_else(wrong)? {
                let windows = &mut schedule.0[day as usize];
                if !windows.contains(&window) {
                    windows.push(window);
                }
            }
        }
        for windows in &mut schedule.0 {
            windows.sort_by_key(|window| (window.from, window.to));
        }
        Ok(schedule)
    }
}

fn days_of(text: &str) -> Option<Vec<Weekday>> {
    let Some((first, last)) = text.split_once('-') else {
        return Some(vec![day(text)?]);
    };
    let (first, last) = (day(first)?, day(last)?);
    let count = (last as usize + DAYS - first as usize) % DAYS + 1;
    Some((0..count).map(|days| first.plus(days)).collect())
}

fn day(text: &str) -> Option<Weekday> {
    Weekday::ALL.into_iter().find(|day| day.short().eq_ignore_ascii_case(text))
}

fn window(text: &str) -> Option<Window> {
    let (from, to) = text.split_once('-')?;
    let window = Window { from: clock(from)?, to: clock(to)? };
    (window.from < MINUTES_A_DAY).then_some(window)
}

/// Parses `07:00` to minutes since midnight.
fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= MINUTES_A_DAY).then_some(all)
}

impl fmt::Display for Schedule {
    /// Formats consecutive days with the same hours as a range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut first = 0;
        while first < DAYS {
            let same = |day: &&Weekday| self.0[**day as usize] == self.0[first];
            let count = Weekday::ALL[first..].iter().take_while(same).count();
            for window in &self.0[first] {
                write!(f, "{separator}{}", Weekday::ALL[first].short())?;
                if count > 1 {
                    write!(f, "–{}", Weekday::ALL[first + count - 1].short())?;
                }
                write!(f, " {}–{}", Clock(window.from), Clock(window.to))?;
                separator = ", ";
            }
            first += count;
        }
        Ok(())
    }
}

/// Minutes since midnight, formatted as `07:00`.
pub(crate) struct Clock(pub(crate) u16);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
        let nights = parsed("Mon-Fri 19:00-07:00");
        let table = [
            (Weekday::Monday, 6 * 60, false),
            (Weekday::Monday, 12 * 60, false),
            (Weekday::Monday, 19 * 60, true),
            (Weekday::Monday, 1439, true),
            (Weekday::Tuesday, 0, true),
            (Weekday::Tuesday, 6 * 60 + 59, true),
            (Weekday::Tuesday, 7 * 60, false),
            (Weekday::Saturday, 6 * 60, true),
            (Weekday::Saturday, 20 * 60, false),
            (Weekday::Sunday, 0, false),
        ];
        for (day, minutes, expected) in table {
            assert_eq!(nights.allows(day, minutes), expected, "{day:?} {minutes}");
        }
    }

    #[test]
    fn full_days_and_empty_schedules() {
        let weekend = parsed("sat-SUN 00:00-24:00");
        assert!(weekend.allows(Weekday::Sunday, 1439) && !weekend.allows(Weekday::Monday, 0));
        let always = parsed(" ");
        assert!(always.is_always() && always.allows(Weekday::Monday, 0));
        assert!(parsed("Mon 08:00-08:00").allows(Weekday::Tuesday, 7 * 60 + 59), "a whole day");
    }

    #[test]
    fn the_formatted_schedule_parses_to_the_same_schedule() {
        for (text, shown) in [
            ("", ""),
            (
                "Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00",
                "Mon–Fri 19:00–07:00, Sat–Sun 00:00–24:00",
            ),
            ("Fri-Mon 10:00-11:00", "Mon 10:00–11:00, Fri–Sun 10:00–11:00"),
            ("Wed 20:00-21:00,Wed 06:00-07:00", "Wed 06:00–07:00, Wed 20:00–21:00"),
        ] {
            let schedule = parsed(text);
            assert_eq!(schedule.to_string(), shown);
            assert_eq!(parsed(shown), schedule);
        }
    }

    #[test]
    fn invalid_schedules_are_refused() {
        for text in [
            "nights",
            "Mon",
            "Mon 7-8",
            "Mon 07:00",
            "Mon 07:60-08:00",
            "Mon 24:00-01:00",
            "Mon 23:00-24:01",
            "Mo 07:00-08:00",
            "Mon-Fry 07:00-08:00",
            "Mon 07:00-08:00,",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
