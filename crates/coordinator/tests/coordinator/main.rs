//! The coordinator as its peers meet it: a real socket, a real database, a real trainer process.

mod access;
mod api;
mod device;
mod disk;
mod events;
mod jobs;
mod leases;
mod refusals;
mod restart;
mod start;
mod support;
mod uploads;
