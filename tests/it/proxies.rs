//! Through real proxies: control and data connections take the way that was set, and no other, whatever becomes of the proxy.

use std::fs;

use libtest_mimic::Trial;
use towline::{
    ftps,
    remote::{Remote, ftps::FtpsSettings},
};

use crate::{
    matrix,
    rig::Rig,
    servers::{self, Kind, Options, Proxy, ProxyKind, Server, Tls},
    support::scaled,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in ProxyKind::ALL {
        let name = |what: &str| format!("proxies::{}::{what}", kind.name());
        // ProFTPD writes down where each session comes from.
        for (data, asked) in [("epsv", ftps::DataMode::Epsv), ("pasv", ftps::DataMode::Pasv)] {
            trials.push(servers::trial(Kind::ProFtpd, name(&format!("puts_and_lists_by_{data}")), move || works(kind, asked)));
        }
        trials.push(servers::trial(Kind::ProFtpd, name("finds_the_host_by_name"), move || by_name(kind)));
        trials.push(servers::trial(Kind::ProFtpd, name("wrong_password"), move || wrong_password(kind)));
        trials.push(servers::trial(Kind::ProFtpd, name("nothing_goes_past_a_proxy_that_is_down"), move || down(kind)));
        trials.push(servers::trial(Kind::ProFtpd, name("sync"), move || async move { sync(kind) }));
    }
    trials
}

fn start(kind: ProxyKind) -> (Server, Proxy) {
    let server = Server::start(Kind::ProFtpd, Options::default());
    let proxy = Proxy::start(kind, server.port, server.passive());
    (server, proxy)
}

fn settings(server: &Server, proxy: &Proxy, password: &str) -> FtpsSettings {
    let kind = match proxy.kind {
        ProxyKind::Socks5 => ftps::ProxyKind::Socks5,
        ProxyKind::Http => ftps::ProxyKind::Http,
    };
    let user = Some((proxy.user.to_owned(), password.to_owned().into()));
    let proxy = ftps::Proxy { kind, host: Proxy::HOST.to_owned(), port: proxy.port, user };
    FtpsSettings { proxy: Some(proxy), ..matrix::settings(server) }
}

/// That the server was reached, and from nowhere but the proxy, which made data connections as well.
fn assert_through(server: &Server, proxy: &Proxy) {
    let sessions = server.sessions();
    assert!(!sessions.is_empty() && sessions.iter().all(|from| from == Proxy::FROM), "sessions came from {sessions:?}");
    let log = proxy.log();
    let leads_to = |port: u16| log.split(|c: char| !c.is_ascii_digit()).any(|number| number == port.to_string());
    assert!(leads_to(server.port), "the control connection\n{log}");
    assert!(server.passive().any(leads_to), "a data connection\n{log}");
}

async fn works(kind: ProxyKind, data: ftps::DataMode) {
    let (server, proxy) = start(kind);
    let remote = matrix::remote(FtpsSettings { data, ..settings(&server, &proxy, proxy.password) });
    matrix::exercise(&server, &remote, "files", scaled(20, 200)).await;
    assert_through(&server, &proxy);
}

async fn by_name(kind: ProxyKind) {
    let (server, proxy) = start(kind);
    let settings = FtpsSettings { host: "localhost".to_owned(), ..settings(&server, &proxy, proxy.password) };
    matrix::exercise(&server, &matrix::remote(settings), "files", 3).await;
    assert_through(&server, &proxy);
}

async fn wrong_password(kind: ProxyKind) {
    let (server, proxy) = start(kind);
    let remote = matrix::remote(settings(&server, &proxy, "not-the-password"));
    let refused = remote.connect().await.err().expect("no way through");
    println!("{}: {refused}", kind.name());
    let said = refused.to_string();
    assert!(said.contains("proxy") && !said.contains("not-the-password"), "{said}");
    assert_eq!(server.sessions(), Vec::<String>::new());
}

async fn down(kind: ProxyKind) {
    let (server, mut proxy) = start(kind);
    let remote = matrix::remote(settings(&server, &proxy, proxy.password));
    proxy.stop();
    let failed = remote.connect().await.err().expect("no way through");
    println!("{}: {failed}", kind.name());
    assert_eq!(server.sessions(), Vec::<String>::new());
}

/// The whole program, with the proxy in its configuration.
fn sync(kind: ProxyKind) {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let proxy = Proxy::start(kind, rig.server.port, rig.server.passive());
    let password = rig.dir.path().join("proxy.pass");
    servers::pki::write_secret(&password, proxy.password);
    let file = rig.dir.path().join("towline.toml");
    let text = fs::read_to_string(&file).unwrap();
    let key = format!(
        "proxy = {{ {} = \"{}:{}\", user = {:?}, password = {{ file = \"proxy.pass\" }} }}\n[remote.lab.tls]",
        kind.name(),
        Proxy::HOST,
        proxy.port,
        proxy.user
    );
    assert!(text.contains("[remote.lab.tls]"));
    fs::write(&file, text.replace("[remote.lab.tls]", &key)).unwrap();
    (0..10).for_each(|i| rig.write(&format!("d/{i}"), format!("file {i}")));
    let output = rig.towline(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(rig.is_equal());
    assert_through(&rig.server, &proxy);
}
