//! Ports for a server: one to listen on and a range for its data connections, shared with nobody on this machine. Not a network range.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Below the kernel's ephemeral ports, so that no client's connection takes one.
const FIRST: u16 = 10_000;
const BLOCK: u16 = 250;
const BLOCKS: u16 = 90;

/// A block of ports, ours for as long as this value lives.
pub struct Ports {
    /// Listening on the block's first port is the claim: it holds against every user and process, and ends with ours.
    _claim: TcpListener,
    pub control: u16,
    pub passive: RangeInclusive<u16>,
}

impl Ports {
    pub fn claim() -> Self {
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
        (0..BLOCKS)
            .map(|n| FIRST + (start + n) % BLOCKS * BLOCK)
            .find_map(|first| {
                let claim = listen(first)?;
                // Somebody else's, or a server that outlived a killed test run.
                listen(first + 1)?;
                Some(Self { _claim: claim, control: first + 1, passive: first + 2..=first + BLOCK - 1 })
            })
            .expect("no block of free ports on 127.0.0.1")
    }
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}
