//! Who is told over the web: a real HTTPS server, whose authority the daemon finds where the system's are. Programs that are told: `seen`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
};

use libtest_mimic::Trial;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    rig::{Daemon, PATIENCE, Rig, tree},
    servers::{
        self, Kind, Tls,
        pki::{Authority, Usage},
    },
    support::wait_until,
};

pub(crate) fn trials() -> Vec<Trial> {
    [("the_web_is_told_of_states", webhook as fn()), ("who_cannot_be_verified_is_told_nothing", stranger)]
        .into_iter()
        .map(|(name, test)| servers::trial(Kind::ProFtpd, format!("told::{name}"), move || async move { test() }))
        .collect()
}

/// What must not be seen anywhere: part of both addresses.
const SECRET: &str = "T0WLINE-canary-4711";

/// One request.
#[derive(Clone, Debug)]
struct Asked {
    first: String,
    body: String,
}

/// A server on the web.
struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    authority: Authority,
}

impl Web {
    /// The first POST fails, all else is well.
    fn open() -> Self {
        let authority = Authority::new("towline web CA");
        let issued = authority.issue(&["localhost"], Usage::Server);
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(servers::pki::provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked, config) = (listener.local_addr().unwrap().port(), Arc::default(), Arc::new(config));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                // Whoever does not like the certificate goes away.
                let _ = answer(tls, &heard);
            }
        });
        Self { port, asked, authority }
    }

    /// What was sent by this method.
    fn by(&self, method: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.first.starts_with(method)).cloned().collect()
    }

    fn told(&self) -> Vec<serde_json::Value> {
        self.by("POST").iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect()
    }
}

fn answer(stream: impl Read + Write, heard: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mut heard = heard.lock().unwrap();
    let is_first_post = first.starts_with("POST") && !heard.iter().any(|asked| asked.first.starts_with("POST"));
    heard.push(Asked { first, body: String::from_utf8(body).unwrap() });
    drop(heard);
    let status = if is_first_post { "500 not now" } else { "200 OK" };
    write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    stream.get_mut().flush()
}

/// A daemon that tells `web`, and takes only `roots` for the system's.
fn telling(rig: &Rig, web: &Web, roots: &PathBuf) -> Daemon {
    let file = rig.dir.path().join("towline.toml");
    let config = fs::read_to_string(&file).unwrap();
    let notify = format!(
        "[notify]\nafter = \"1s\"\nping_every = \"1s\"\nwebhook = \"https://localhost:{port}/{SECRET}/hook\"\n\
         ping = \"https://localhost:{port}/{SECRET}/ping?up\"\n",
        port = web.port
    );
    fs::write(&file, format!("{config}\n{notify}")).unwrap();
    let log = fs::File::create(rig.dir.path().join("log")).unwrap();
    let mut command = rig.command(&["--log", "trace", "run"]);
    Daemon(command.env("SSL_CERT_FILE", roots).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn webhook() {
    let (rig, web) = (Rig::new(Kind::ProFtpd, Tls::Both), Web::open());
    let roots = rig.dir.path().join("roots.pem");
    fs::write(&roots, web.authority.certificate()).unwrap();
    (0..5).for_each(|i| rig.write(&format!("{i}"), "x"));
    let daemon = telling(&rig, &web, &roots);
    rig.await_sync();
    assert!(wait_until(PATIENCE, || !web.by("GET").is_empty()), "all is well, and that is said\n{}", rig.log());
    assert_eq!(web.by("GET")[0].first, format!("GET /{SECRET}/ping?up HTTP/1.1\r\n"));
    assert!(web.told().is_empty(), "that all is well from the start is no news");

    let before = towline::clock::now().0;
    (0..5).for_each(|i| fs::remove_file(rig.source.join(i.to_string())).unwrap());
    // The first attempt fails.
    assert!(wait_until(PATIENCE, || web.told().len() == 2), "it was not told again\n{}", rig.log());
    let told = web.told();
    assert_eq!(told[0], told[1]);
    assert_eq!((&told[0]["mirror"], &told[0]["from"], &told[0]["to"]), (&"site".into(), &"fine".into(), &"held".into()));
    let words = |key: &str| told[0][key].as_str().unwrap().to_owned();
    assert!(words("reason").starts_with("removals wait: ") && words("reason").contains("towline approve site"), "{told:?}");
    assert_eq!(words("text"), format!("site: {}", words("reason")));
    let since = told[0]["since"].as_i64().unwrap();
    assert!((before..=towline::clock::now().0).contains(&since), "{since}");
    let status = rig.towline(&["approve", "site"]);
    assert!(status.status.success());
    assert!(wait_until(PATIENCE, || web.told().len() == 3), "its end was not told\n{}", rig.log());
    assert_eq!((&web.told()[2]["from"], &web.told()[2]["to"]), (&"held".into(), &"fine".into()));
    let pings = web.by("GET").len();
    assert!(wait_until(PATIENCE, || web.by("GET").len() > pings), "all is well again, and that is said");

    // The addresses are nowhere but in the configuration.
    let log = rig.log();
    assert!(log.contains("did not go through, and is tried again") && log.contains("the answer was 500"), "{log}");
    let mut said = vec![log.into_bytes()];
    for args in [&["status", "--json"][..], &["log", "--json"], &["metrics"], &["check", "--json"]] {
        said.push(rig.towline(args).stdout);
    }
    said.extend(["cmdline", "environ"].map(|file| fs::read(format!("/proc/{}/{file}", daemon.0.id())).unwrap_or_default()));
    said.extend(tree(&rig.state()).into_values().flatten());
    for bytes in said {
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
    }
}

fn stranger() {
    let (rig, web) = (Rig::new(Kind::ProFtpd, Tls::Both), Web::open());
    let roots = rig.dir.path().join("roots.pem");
    fs::write(&roots, Authority::new("somebody else").certificate()).unwrap();
    rig.write("a", "x");
    let _daemon = telling(&rig, &web, &roots);
    rig.await_sync();
    assert!(wait_until(PATIENCE, || rig.log().contains("no TLS: ")), "{}", rig.log());
    assert!(web.asked.lock().unwrap().is_empty(), "nothing of the address leaves");
    // The mirror does not mind.
    rig.write("b", "y");
    rig.await_sync();
    assert!(!rig.log().contains(SECRET));
}
