//! What the Mac's owner asked for: a pause, or to train now. It outlives the app.

use std::path::Path;
use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::view::OverrideView;

/// Kept as a file in the app's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum TimedOverride {
    #[default]
    None,
    /// Until somebody resumes where there is no time.
    Paused { until: Option<Timestamp> },
    /// Trains though somebody uses the machine.
    Contributing { until: Timestamp },
}

/// For how long somebody pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    Hour,
    /// Eight in the morning of the next day.
    Tomorrow,
    /// Until somebody resumes.
    Resumed,
}

/// When a pause until tomorrow ends, on the clock of the machine.
const MORNING: i8 = 8;
/// How long "contribute now" counts.
const CONTRIBUTION: Duration = Duration::from_hours(1);

impl TimedOverride {
    /// A pause that begins at `now`, in the zone that its owner lives in.
    pub(super) fn pause(pause: Pause, now: Timestamp, zone: &jiff::tz::TimeZone) -> Self {
        let until = match pause {
            Pause::Hour => Some(now.after(Duration::from_hours(1))),
            Pause::Tomorrow => {
                let morning = zoned(now, zone).and_then(|now| {
                    now.date().tomorrow()?.at(MORNING, 0, 0, 0).to_zoned_datetime(zone.clone())
                });
                // The last day that there is has no morrow.
                let morning = morning.map(|at| at.timestamp().as_millisecond());
                Some(morning.map_or(now.after(Duration::from_hours(12)), Timestamp::from_millis))
            }
            Pause::Resumed => None,
        };
        Self::Paused { until }
    }

    pub(super) fn contribute(now: Timestamp) -> Self {
        Self::Contributing { until: now.after(CONTRIBUTION) }
    }

    /// The same, or none where its time is over.
    pub(super) fn at(self, now: Timestamp) -> Self {
        match self {
            Self::Paused { until: Some(until) } | Self::Contributing { until } if until <= now => {
                Self::None
            }
            Self::None | Self::Paused { .. } | Self::Contributing { .. } => self,
        }
    }

    pub(super) fn view(self, now: Timestamp, zone: &jiff::tz::TimeZone) -> OverrideView {
        let words = |until| clock_words(until, now, zone);
        match self {
            Self::None => OverrideView::None,
            Self::Paused { until } => OverrideView::Paused { until: until.map(words) },
            Self::Contributing { until } => {
                OverrideView::Contributing { until: Some(words(until)) }
            }
        }
    }

    /// As the worker's policy has it.
    pub(super) const fn for_worker(self) -> worker::UserOverride {
        match self {
            Self::None => worker::UserOverride::None,
            Self::Paused { until: None } => worker::UserOverride::Paused,
            Self::Paused { until: Some(until) } => worker::UserOverride::PausedUntil(until),
            Self::Contributing { until } => worker::UserOverride::ContributeUntil(until),
        }
    }

    /// None where there is none or it can't be read: then nothing is asked for.
    pub(super) fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) fn save(self, file: &Path) -> std::io::Result<()> {
        platform::files::write_private(file, &serde_json::to_vec(&self)?)
    }
}

fn zoned(at: Timestamp, zone: &jiff::tz::TimeZone) -> Result<jiff::ZonedDateTime, jiff::Error> {
    Ok(jiff::Timestamp::from_millisecond(at.as_millis())?.to_zoned_datetime(zone.clone()))
}

/// `14:00`, with `tomorrow` before it where it is not today.
fn clock_words(at: Timestamp, now: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    match (zoned(at, zone), zoned(now, zone)) {
        (Ok(at), Ok(now)) if at.date() == now.date() => at.strftime("%H:%M").to_string(),
        (Ok(at), Ok(_)) => at.strftime("tomorrow, %H:%M").to_string(),
        (Err(_), _) | (_, Err(_)) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::fixed(jiff::tz::offset(1))
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_pause_ends_when_its_owner_thinks_it_does() {
        let (now, zone) = (at("2026-11-24T22:30:00Z"), berlin());
        let shown = |pause| TimedOverride::pause(pause, now, &zone).view(now, &zone);
        let until = |words: &str| OverrideView::Paused { until: Some(words.into()) };
        assert_eq!(shown(Pause::Hour), until("tomorrow, 00:30"));
        assert_eq!(shown(Pause::Tomorrow), until("tomorrow, 08:00"));
        assert_eq!(shown(Pause::Resumed), OverrideView::Paused { until: None });
        let early = at("2026-11-24T01:00:00Z");
        assert_eq!(
            TimedOverride::contribute(early).view(early, &zone),
            OverrideView::Contributing { until: Some("03:00".into()) }
        );
    }

    #[test]
    fn a_wish_ends_with_its_time() {
        let now = at("2026-11-24T12:00:00Z");
        let wish = TimedOverride::pause(Pause::Hour, now, &berlin());
        assert_eq!(wish.at(now.after(Duration::from_mins(59))), wish);
        assert_eq!(wish.at(now.after(Duration::from_hours(1))), TimedOverride::None);
        let forever = TimedOverride::pause(Pause::Resumed, now, &berlin());
        assert_eq!(forever.at(now.after(Duration::from_hours(24 * 365))), forever);
    }

    #[test]
    fn a_wish_outlives_the_app_and_a_broken_file_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wish.json");
        assert_eq!(TimedOverride::load(&file), TimedOverride::None);
        let wish = TimedOverride::contribute(at("2026-11-24T12:00:00Z"));
        wish.save(&file).unwrap();
        assert_eq!(TimedOverride::load(&file), wish);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(TimedOverride::load(&file), TimedOverride::None);
    }
}
