//! A server in memory that refuses what FTP refuses, with scripted faults.

pub mod tree;
