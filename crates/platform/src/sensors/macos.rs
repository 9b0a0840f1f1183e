//! macOS.

use std::time::Duration;

use super::{Sensed, Sensors, Unknown};

/// What the operating system says.
#[derive(Debug, Default)]
pub struct SystemSensors;

impl SystemSensors {
    pub fn new() -> Self {
        Self
    }
}

impl Sensors for SystemSensors {
    fn input(&self) -> Option<Duration> {
        None
    }

    fn sense(&self) -> Sensed {
        Sensed::default()
    }

    fn unknowns(&self) -> Vec<Unknown> {
        vec![]
    }
}
