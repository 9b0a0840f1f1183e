//! Integration tests of the coordinator with a real socket, database and trainer process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod access;
mod api;
mod approval;
mod audit;
mod backup;
mod changes;
mod crash;
mod dataset;
mod device;
mod disk;
mod enroll;
mod events;
mod foreign_blobs;
mod garbage;
mod history;
mod hostile;
mod hosts;
mod identity;
mod idle_devices;
mod import;
mod job_check;
mod jobs;
mod labels;
mod leases;
mod migrations;
mod models;
mod older;
mod openapi;
mod pages;
mod poll_interval;
mod profile;
mod quarantine;
mod receiver;
mod refusals;
mod restart;
mod secrets;
mod sessions;
mod staging;
mod start;
mod support;
mod tabs;
mod texts;
mod tls;
mod transfers;
mod uploads;
mod versions;
mod watch;
mod webhooks;
