//! The FTPS remote against scripted servers, over pipes and with time that runs by itself: each thing that a server can do
//! wrong, one test.

mod active;
mod aside;
mod bandwidth;
mod behind;
mod copies;
mod downloads;
mod flight;
mod hostile;
mod learning;
mod login;
mod modes;
mod odd;
mod passive;
mod proxies;
mod support;
mod transfers;
mod trust;

use super::*;

#[test]
fn the_base_is_absolute_and_sane() {
    for (base, joined) in [("/", "/a/b"), ("/x", "/x/a/b"), ("/x/y/", "/x/y/a/b")] {
        let path = RelPath::new("a/b").expect("valid");
        let joined = Pathname::new(joined).expect("sendable");
        assert_eq!(Base::new(base.as_bytes()).expect("valid").join(&path), Ok(joined), "{base}");
    }
    assert!(matches!(Base::new(b"x"), Err(SettingsError::NotAbsolute)));
    assert!(matches!(Base::new(b""), Err(SettingsError::NotAbsolute)));
    assert!(matches!(Base::new(b"/a/../b"), Err(SettingsError::Base(_))));
    assert!(matches!(Base::new(b"/a//b"), Err(SettingsError::Base(_))));
    assert!(matches!(Base::new(b"/a\nDELE b"), Err(SettingsError::Unsendable(_))));
}
