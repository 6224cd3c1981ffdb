//! Requests to the control API.
#![no_main]

use std::cell::RefCell;

use tokio::runtime::{Builder, Runtime};
use towline_fuzz::invariants;

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime"));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUNTIME.with_borrow(|runtime| runtime.block_on(invariants::control(data))));
