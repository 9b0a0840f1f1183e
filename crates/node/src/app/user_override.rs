//! The user's override of the idle policy: a pause, or "contribute now". Survives a restart of the app.

use std::path::Path;
use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::view::OverrideView;

/// Override with its end time, stored as a file in the app's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum TimedOverride {
    #[default]
    None,
    /// Paused until a time; without one, until the user resumes.
    Paused { until: Option<Timestamp> },
    /// Trains even while the machine is in use.
    Contributing { until: Timestamp },
}

/// Duration of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    Hour,
    /// Until 8:00 of the next day.
    Tomorrow,
    /// Until the user resumes.
    Resumed,
}

/// Local hour at which a pause until tomorrow ends.
const MORNING_HOUR: i8 = 8;
/// Duration of "contribute now".
const CONTRIBUTION: Duration = Duration::from_hours(1);

impl TimedOverride {
    /// Creates a pause that starts at `now`; `zone` is the user's time zone.
    pub(super) fn pause(pause: Pause, now: Timestamp, zone: &jiff::tz::TimeZone) -> Self {
        let until = match pause {
            Pause::Hour => Some(now.after(Duration::from_hours(1))),
            Pause::Tomorrow => {
                let morning = zoned(now, zone).and_then(|now| {
                    now.date().tomorrow()?.at(MORNING_HOUR, 0, 0, 0).to_zoned_datetime(zone.clone())
                });
                // Fails only at the end of the calendar.
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

    /// Returns the override, or [`Self::None`] if it has expired.
    pub(super) fn at(self, now: Timestamp) -> Self {
        match self {
            Self::Paused { until: Some(until) } | Self::Contributing { until } if until <= now => {
                Self::None
            }
            Self::None | Self::Paused { .. } | Self::Contributing { .. } => self,
        }
    }

    pub(super) fn view(self, now: Timestamp, zone: &jiff::tz::TimeZone) -> OverrideView {
        let text = |until| clock_text(until, now, zone);
        match self {
            Self::None => OverrideView::None,
            Self::Paused { until } => OverrideView::Paused { until: until.map(text) },
            Self::Contributing { until } => OverrideView::Contributing { until: Some(text(until)) },
        }
    }

    /// Converts to the type of the worker's policy.
    pub(super) const fn for_worker(self) -> worker::UserOverride {
        match self {
            Self::None => worker::UserOverride::None,
            Self::Paused { until: None } => worker::UserOverride::Paused,
            Self::Paused { until: Some(until) } => worker::UserOverride::PausedUntil(until),
            Self::Contributing { until } => worker::UserOverride::ContributeUntil(until),
        }
    }

    /// Loads the override; a missing or unreadable file means no override.
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

/// Formats a time as `14:00`, or `tomorrow, 14:00` if it is not today.
fn clock_text(at: Timestamp, now: Timestamp, zone: &jiff::tz::TimeZone) -> String {
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
    fn pauses_end_at_local_times() {
        let (now, zone) = (at("2026-11-24T22:30:00Z"), berlin());
        let shown = |pause| TimedOverride::pause(pause, now, &zone).view(now, &zone);
        let until = |text: &str| OverrideView::Paused { until: Some(text.into()) };
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
    fn an_override_expires() {
        let now = at("2026-11-24T12:00:00Z");
        let hour = TimedOverride::pause(Pause::Hour, now, &berlin());
        assert_eq!(hour.at(now.after(Duration::from_mins(59))), hour);
        assert_eq!(hour.at(now.after(Duration::from_hours(1))), TimedOverride::None);
        let forever = TimedOverride::pause(Pause::Resumed, now, &berlin());
        assert_eq!(forever.at(now.after(Duration::from_hours(24 * 365))), forever);
    }

    #[test]
    fn an_override_survives_a_restart_and_an_unreadable_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wish.json");
        assert_eq!(TimedOverride::load(&file), TimedOverride::None);
        let contribute = TimedOverride::contribute(at("2026-11-24T12:00:00Z"));
        contribute.save(&file).unwrap();
        assert_eq!(TimedOverride::load(&file), contribute);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(TimedOverride::load(&file), TimedOverride::None);
    }
}
