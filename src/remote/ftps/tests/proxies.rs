//! Proxies as the mirror meets them: what their failures mean, and what cannot go together. What they are asked is tested with
//! the proxies.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use super::support::settings;
use crate::{
    ftps::{Active, DataMode, Dial, Dialed, Profile, Proxy, ProxyError, ProxyFailure, ProxyKind, Target, TlsSettings, Trust},
    remote::{
        Class, Remote,
        ftps::{FtpsRemote, FtpsSettings, SettingsError},
    },
};

/// Fails as a proxy does.
struct Failing(fn() -> ProxyFailure);

impl Dial for Failing {
    type Stream = TcpStream;

    async fn dial(&self, _: Target) -> io::Result<Dialed<TcpStream>> {
        Err(ProxyError { proxy: "http proxy.test:3128".to_owned(), failure: self.0() }.into())
    }

    fn name(&self) -> String {
        "ftp.test:21".to_owned()
    }
}

fn tls() -> TlsSettings {
    TlsSettings { trust: Trust::Pin, pins: vec![[0; 32].into()], ..TlsSettings::default() }
}

#[tokio::test]
async fn what_a_failure_of_the_proxy_means() {
    let cases: [(fn() -> ProxyFailure, Class); 6] = [
        (|| ProxyFailure::AuthRefused, Class::Auth),
        (|| ProxyFailure::AuthNeeded, Class::Auth),
        (|| ProxyFailure::Refused("403 Forbidden".to_owned()), Class::Transient),
        (|| ProxyFailure::Late, Class::Transient),
        (|| ProxyFailure::Unreachable(io::ErrorKind::ConnectionRefused.into()), Class::Transient),
        (|| ProxyFailure::OtherProtocol, Class::Protocol),
    ];
    for (failure, class) in cases {
        let remote = FtpsRemote::with_dial(Failing(failure), settings(tls()), Profile::default(), Arc::new(|_| {}));
        let error = remote.expect("settings").connect().await.err().expect("no login");
        assert_eq!(error.class, class, "{error}");
        assert!(error.to_string().contains("the proxy (http proxy.test:3128)"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("proxy")), "{error}");
    }
}

#[test]
fn active_mode_does_not_go_through_a_proxy() {
    let proxy = Proxy { kind: ProxyKind::Socks5, host: "proxy.test".to_owned(), port: 1080, user: None };
    let data = DataMode::Active(Active::default());
    let settings = FtpsSettings { data, proxy: Some(proxy), ..settings(tls()) };
    let refused = FtpsRemote::new(settings, Profile::default(), Arc::new(|_| {})).err();
    assert!(matches!(refused, Some(SettingsError::ActiveThroughProxy)));
}
