//! `towline trust`, pins, client certificates and expiry, with a real ProFTPD.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use libtest_mimic::Trial;

use crate::{
    rig::Rig,
    servers::{
        self, Kind, Options, Server, Tls,
        pki::{self, Authority, Usage},
    },
    support::temp_dir,
};

const DAY: u64 = 86_400;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, test) in [
        ("shows_and_pins", shows_and_pins as fn()),
        ("pins_beside_a_chain", pins_beside_a_chain),
        ("another_key_never_sees_the_password", another_key),
        ("warns_before_certificates_expire", expiry),
        ("says_what_stands_in_the_way", in_the_way),
    ] {
        trials.push(servers::trial(Kind::ProFtpd, format!("cli::trust_{name}"), move || async move { test() }));
    }
    for tls in Tls::ALL {
        let name = format!("cli::trust_client_certificate_{}", tls.name());
        trials.push(servers::trial(Kind::ProFtpd, name, move || async move { client_certificate(tls) }));
    }
    trials
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts how a verb ended and what it said (on either stream).
#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in says {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn config(rig: &Rig) -> String {
    fs::read_to_string(rig.dir.path().join("towline.toml")).unwrap()
}

fn edit(rig: &Rig, from: &str, to: &str) {
    let before = config(rig);
    assert!(before.contains(from), "{before}");
    fs::write(rig.dir.path().join("towline.toml"), before.replace(from, to)).unwrap();
}

/// A configuration that trusts the system's roots alone.
fn without_ca(rig: &Rig) {
    edit(rig, &format!("ca = {:?}\n", rig.server.ca), "# nothing is trusted yet\n");
}

/// Gives the server a new key, and a certificate from `authority` that expires in so many seconds.
fn give_certificate(rig: &mut Rig, authority: &Authority, seconds: u64) {
    let dir = rig.server.ca.parent().unwrap().to_owned();
    rig.server.stop();
    let issued = authority.issue_for(&["localhost", "127.0.0.1"], Usage::Server, seconds);
    fs::write(dir.join("ca.pem"), authority.certificate()).unwrap();
    fs::write(dir.join("server.pem"), &issued.certificate).unwrap();
    pki::write_secret(&dir.join("server.key"), &issued.key);
    rig.server.start_again();
}

/// The pin that `towline trust` shows.
fn pin(rig: &Rig) -> String {
    let json = rig.towline(&["trust", "lab", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    json["pin"].as_str().unwrap().to_owned()
}

fn shows_and_pins() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    without_ca(&rig);
    // Not needed for any of this.
    let password = rig.dir.path().join("pass");
    fs::rename(&password, rig.dir.path().join("aside")).unwrap();
    let said = ends(
        &rig.towline(&["trust", "lab"]),
        76,
        &["over TLS 1.3", "localhost, 127.0.0.1", "towline test CA", "nothing is pinned", "its issuer is unknown", "--pin"],
    );
    assert!(said.contains(&format!("  pin        {}\n", pin(&rig))), "{said}");

    let before = config(&rig);
    let file = rig.dir.path().join("towline.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    ends(&rig.towline(&["trust", "lab", "--pin"]), 0, &["towline.toml has the pin now", "trust = \"pin\", since the chain"]);
    // Behind the last key of its table; the comment stands before the next table.
    let lines = format!("[remote.lab.tls]\npin = [\"{}\"]\ntrust = \"pin\"\n", pin(&rig));
    assert_eq!(config(&rig), before.replace("[remote.lab.tls]\n", &lines));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(rig.commands("USER"), 0, "{}", rig.server.log());

    fs::rename(rig.dir.path().join("aside"), &password).unwrap();
    ends(&rig.towline(&["sync"]), 0, &["1 file sent", "in sync"]);
    ends(&rig.towline(&["trust", "lab"]), 0, &["pinned     yes", "trusted: there is nothing to do"]);
    let pinned = config(&rig);
    ends(&rig.towline(&["trust", "lab", "--pin", "--replace"]), 0, &["there already"]);
    assert_eq!(config(&rig), pinned);
}

fn pins_beside_a_chain() {
    let rig = Rig::new(Kind::ProFtpd, Tls::V12);
    rig.write("file", "x");
    ends(&rig.towline(&["trust", "lab"]), 0, &["over TLS 1.2", "verified   yes", "nothing is pinned"]);
    // A drop-in defines the remote, the main file the mirror.
    let whole = config(&rig);
    let (remote, mirror) = whole.split_at(whole.find("[[mirror]]").unwrap());
    let remote = remote.replace("\"pass\"", &format!("{:?}", rig.dir.path().join("pass")));
    fs::create_dir(rig.dir.path().join("conf.d")).unwrap();
    let drop_in = rig.dir.path().join("conf.d/lab.toml");
    fs::write(&drop_in, &remote).unwrap();
    fs::write(rig.dir.path().join("towline.toml"), mirror).unwrap();

    ends(&rig.towline(&["trust", "lab", "--pin"]), 0, &["conf.d/lab.toml has the pin now"]);
    let ca = format!("ca = {:?}\n", rig.server.ca);
    let expected = remote.replace(&ca, &format!("{ca}pin = [\"{}\"]\n", pin(&rig)));
    assert_eq!(fs::read_to_string(&drop_in).unwrap(), expected);
    assert_eq!(config(&rig), mirror, "the other file");
    ends(&rig.towline(&["sync"]), 0, &["1 file sent", "in sync"]);
}

fn another_key() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    without_ca(&rig);
    ends(&rig.towline(&["trust", "lab", "--pin"]), 0, &[]);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    let logins = (rig.commands("USER"), rig.commands("PASS"));

    give_certificate(&mut rig, &Authority::new("towline test CA"), 300 * DAY);
    rig.write("file", "changed");
    for verb in [&["sync"][..], &["check", "--online"]] {
        ends(
            &rig.towline(verb),
            76,
            &["its public key is not the pinned one", "the password was not sent", "towline trust REMOTE", "in between"],
        );
    }
    assert_eq!((rig.commands("USER"), rig.commands("PASS")), logins, "{}", rig.server.log());
    let before = config(&rig);
    ends(&rig.towline(&["trust", "lab"]), 76, &["1 other key is", "somebody is in between"]);
    assert_eq!(config(&rig), before, "it only shows");
    ends(&rig.towline(&["trust", "lab", "--pin", "--replace"]), 0, &["has the pin now"]);
    assert_eq!(config(&rig).matches("sha256/").count(), 1);
    ends(&rig.towline(&["sync"]), 0, &["1 file sent", "in sync"]);
}

fn expiry() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let authority = Authority::new("towline test CA");
    give_certificate(&mut rig, &authority, 10 * DAY + DAY / 2);
    let ours = authority.issue_for(&["me"], Usage::Client, 30 * DAY - DAY / 2);
    pki::write_secret(&rig.dir.path().join("me.pem"), &(ours.certificate + &ours.key));
    edit(&rig, "[remote.lab.tls]\n", "[remote.lab.tls]\nclient_cert = \"me.pem\"\n");
    rig.write("file", "x");

    let server = "the server's certificate expires in 10 days";
    let client = "the client certificate expires in 29 days";
    ends(&rig.towline(&["check"]), 0, &[client]);
    ends(&rig.towline(&["check", "--online"]), 0, &[server, client]);
    ends(&rig.towline(&["trust", "lab"]), 0, &["10 days left"]);
    let _daemon = rig.run();
    rig.await_sync();
    let status = rig.await_status("a warning", |status| status["warnings"].as_array().is_some_and(|all| all.len() == 2));
    assert!(status["warnings"][0].as_str().unwrap().starts_with(server), "{status:#}");
    ends(&rig.towline(&["status"]), 0, &["site: in sync", "  warning    the server's certificate expires in 10 days", client]);
}

fn in_the_way() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let before = config(&rig);
    ends(&rig.towline(&["trust", "nope", "--pin"]), 2, &["there is no remote called \"nope\"; there is: lab"]);
    ends(&rig.towline(&["trust", "lab", "--replace"]), 2, &["--pin"]);
    let json: serde_json::Value = serde_json::from_slice(&rig.towline(&["trust", "lab", "--json"]).stdout).unwrap();
    for key in ["remote", "subject", "issuer", "names", "not_before", "not_after", "days_left", "sha256", "pin", "chain_length"] {
        assert!(!json[key].is_null(), "{key} is missing: {json:#}");
    }
    assert_eq!((&json["trusted"], &json["pinned"], &json["written"]), (&true.into(), &false.into(), &serde_json::Value::Null));
    rig.server.stop();
    ends(&rig.towline(&["trust", "lab", "--pin"]), 69, &["cannot connect to 127.0.0.1"]);
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    edit(&rig, &format!("port = {}", rig.server.port), &format!("port = {}", elsewhere.local_addr().unwrap().port()));
    let speaks = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = elsewhere.accept().unwrap();
        stream.write_all(b"220 hello\r\n").unwrap();
        let (mut heard, mut chunk) = (Vec::new(), [0; 64]);
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            heard.extend_from_slice(&chunk[..n]);
            let _ = stream.write_all(b"502 what?\r\n");
        }
        text(&heard)
    });
    ends(&rig.towline(&["trust", "lab", "--pin"]), 76, &["refused AUTH TLS"]);
    let heard = speaks.join().unwrap();
    assert!(heard.starts_with("AUTH TLS\r\n") && !heard.contains("USER"), "{heard}");
    edit(&rig, &format!("host = {:?}", rig.server.host), "host = \"127.0.0.1\"");
    assert_eq!(config(&rig).lines().count(), before.lines().count(), "nothing was written");
}

fn client_certificate(tls: Tls) {
    let dir = temp_dir();
    let authority = Authority::new("towline clients");
    let roots = dir.path().join("clients.pem");
    fs::write(&roots, authority.certificate()).unwrap();
    let extra = format!("TLSVerifyClient on\nTLSVerifyDepth 2\nTLSCACertificateFile {}\n", roots.display());
    let rig = Rig::with(Server::start(Kind::ProFtpd, Options { tls, extra, ..Options::default() }));
    rig.write("one", "x");
    rig.write("two", "y");
    for verb in [&["sync"][..], &["check", "--online"]] {
        ends(&rig.towline(verb), 76, &["the server requires a client certificate", "set `tls.client_cert`"]);
    }
    assert_eq!(rig.commands("USER"), 0, "{}", rig.server.log());
    // To look at the server needs none.
    ends(&rig.towline(&["trust", "lab"]), 0, &["verified   yes"]);

    let stranger = Authority::new("strangers").issue(&["me"], Usage::Client);
    let ours = authority.issue(&["me"], Usage::Client);
    let file = |name: &str| rig.dir.path().join(name);
    fs::write(file("me.pem"), &stranger.certificate).unwrap();
    pki::write_secret(&file("me.key"), &stranger.key);
    edit(&rig, "[remote.lab.tls]\n", "[remote.lab.tls]\nclient_cert = \"me.pem\"\nclient_key = \"me.key\"\n");
    ends(&rig.towline(&["sync"]), 76, &["client certificate"]);
    fs::write(file("me.pem"), &ours.certificate).unwrap();
    ends(&rig.towline(&["sync"]), 78, &["does not belong to the certificate", "openssl"]);
    pki::write_secret(&file("me.key"), &ours.key);
    ends(&rig.towline(&["sync"]), 0, &["2 files sent", "in sync"]);
    assert!(rig.is_equal());
}
