#![doc = include_str!("ARCHITECTURE.md")]

pub mod blocking;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod ftps;
pub mod index;
pub mod mirror;
pub mod model;
pub mod plan;
pub mod remote;
pub mod scan;
pub mod service;
pub mod telemetry;
pub mod watch;
