//! Logins and transfers: what is said to which replies.
#![no_main]

use towline_fuzz::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::login(data));
