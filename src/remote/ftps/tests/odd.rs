//! Servers with odd ways to list, to say that nothing is there, and to end a transfer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::support::{connected, remote_to, store_fails};
use crate::{
    ftps::{
        Error,
        proto::{
            Encoding, ListedKind, Listing, Pathname,
            listing::{Completeness, Doubt},
        },
        testing::{Heard, Peer, Pipe, Server},
    },
    model::RelPath,
    remote::{Class, Session, ftps::FtpsSession},
};

/// What a server says to one command: its replies, and what comes on the data connection where there is one.
type Answer = (&'static str, &'static str, Option<&'static str>);

const DOT: &str = "drwxr-xr-x 2 a b 4096 Jan 01 2020 .\r\n-rw-r--r-- 1 a b 5 Jan 01 2020 one\r\n";
const PLAIN: &str = "-rw-r--r-- 1 a b 5 Jan 01 2020 one\r\n";
const IIS: &str = "11-22-26  06:14PM       <DIR>          sub\r\n11-22-26  06:14PM                    5 one\r\n";

/// Logs in with MLST in FEAT if `mlst`, and with SIZE if `size`.
async fn log_in(peer: Peer, mlst: bool, size: bool) -> Option<Peer> {
    let mut peer = peer.encrypt().await?;
    let mut features = "211-Features:\r\n UTF8\r\n".to_owned();
    features += if mlst { " MLST type*;size*;\r\n" } else { "" };
    features += if size { " SIZE\r\n" } else { "" };
    features += "211 End";
    for line in ["200 pbsz", "200 prot", "331 password", "230 welcome", &features, "200 utf8", "200 type"] {
        peer.answer(line).await?;
    }
    Some(peer)
}

/// A session with a server that has just these answers, in this order for each verb; the last stands for good.
async fn session(mlst: bool, size: bool, answers: &'static [Answer]) -> (FtpsSession<Pipe>, Heard) {
    let (remote, heard) = remote_to(Server::new(move |peer: Peer| async move {
        let mut peer = log_in(peer, mlst, size).await?;
        let mut left = answers.to_vec();
        loop {
            let line = peer.hear().await?;
            let known = left.iter().position(|(start, ..)| line.starts_with(start));
            let Some(at) = known else {
                peer.say(if line == "EPSV" { "229 go to (|||40000|)" } else { "200 ok" }).await?;
                continue;
            };
            let (start, reply, data) = left[at];
            if left.iter().filter(|(other, ..)| *other == start).count() > 1 {
                left.remove(at);
            }
            let lists = line.starts_with("MLSD") || line.starts_with("LIST");
            if let Some(text) = data {
                peer.say("150 look").await?;
                let mut data = peer.accept_data().await?;
                data.write_all(text.as_bytes()).await.ok()?;
                data.shutdown().await.ok()?;
                data.read_to_end(&mut Vec::new()).await.ok()?;
            } else if lists {
                drop(peer.take_data().await?);
            }
            peer.say(reply).await?;
        }
    }));
    (connected(&remote).await, heard)
}

fn at(text: &str) -> Pathname {
    Pathname::new(text).expect("sendable")
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("valid")
}

fn names(listing: &Listing) -> Vec<&[u8]> {
    listing.entries.iter().map(|entry| entry.name.as_slice()).collect()
}

/// The verbs after the login, without those of data connections.
fn verbs(heard: &Heard) -> Vec<String> {
    heard.lines().into_iter().skip(8).filter(|line| line != "EPSV").collect()
}

const NO_MLSD: Answer = ("MLSD", "502 what?", None);
const THERE: Answer = ("CWD", "250 there", None);

#[tokio::test(start_paused = true)]
async fn each_way_to_list_with_its_doubts() {
    const MISSING: Answer = ("CWD", "550 which?", None);
    const NO_ALL: Answer = ("LIST -a", "550 no such file", None);
    const NO_STAT: Answer = ("STAT", "502 what?", None);
    const STAT: &str = "213-Status:\r\ndrwxr-xr-x 2 a b 4096 Jan 01 2020 .\r\n-rw-r--r-- 1 a b 5 Jan 01 2020 one\r\n213 End";
    let dots = Completeness::Unknown(Doubt::DotfilesHidden);
    // Whether there is MLSD; the answers; the names that come of them, how far they are to be believed, and what was asked.
    type Case = (bool, &'static [Answer], &'static [&'static str], Completeness, &'static [&'static str]);
    let cases: [Case; 12] = [
        (true, &[("MLSD", "226 ok", Some("type=file; one\r\n"))], &["one"], Completeness::Complete, &["MLSD /d"]),
        // An empty directory, once it is known to be there.
        (true, &[("MLSD", "226 ok", Some("")), THERE], &[], Completeness::Complete, &["MLSD /d", "CWD /d"]),
        (true, &[("MLSD", "226 ok", Some("type=cdir; .\r\n"))], &[], Completeness::Complete, &["MLSD /d"]),
        (
            true,
            &[("MLSD", "226 Listing limit reached", Some("type=file; one\r\n"))],
            &["one"],
            Completeness::Capped,
            &["MLSD /d"],
        ),
        (
            true,
            &[NO_MLSD, THERE, ("LIST -a", "226 ok", Some(DOT))],
            &["one"],
            Completeness::Complete,
            &["MLSD /d", "CWD /d", "CWD /d", "LIST -a"],
        ),
        (false, &[THERE, ("LIST -a", "226 ok", Some(DOT))], &["one"], Completeness::Complete, &["CWD /d", "LIST -a"]),
        // `-a` was not minded, it seems.
        (false, &[THERE, ("LIST -a", "226 ok", Some(PLAIN))], &["one"], dots, &["CWD /d", "LIST -a"]),
        (false, &[THERE, ("LIST -a", "226 ok", Some(IIS))], &["sub", "one"], Completeness::Complete, &["CWD /d", "LIST -a"]),
        // pyftpdlib, FileZilla: `-a` is a name.
        (
            false,
            &[THERE, NO_ALL, ("STAT", STAT, None)],
            &["one"],
            Completeness::Complete,
            &["CWD /d", "LIST -a", "CWD /d", "STAT -a ."],
        ),
        (
            false,
            &[THERE, ("LIST -a", "226 nothing of that name", Some("")), NO_STAT, ("LIST", "226 ok", Some(PLAIN))],
            &["one"],
            dots,
            &["CWD /d", "LIST -a", "CWD /d", "STAT -a .", "CWD /d", "LIST"],
        ),
        (
            false,
            &[THERE, NO_ALL, ("STAT", "211-Server status:\r\n up and well\r\n211 End", None), ("LIST", "226 ok", Some(""))],
            &[],
            dots,
            &["CWD /d", "LIST -a", "CWD /d", "STAT -a .", "CWD /d", "LIST"],
        ),
        (
            false,
            &[THERE, ("LIST -a", "226 ok", Some("-rw-r--r-- 1 a b 5 Jan 01 2020 ../x\r\n-rw-r--r-- 1 a b 5 Jan 01 2020 .y\r\n"))],
            &[".y"],
            Completeness::Unknown(Doubt::RejectedNames(1)),
            &["CWD /d", "LIST -a"],
        ),
    ];
    for (mlst, answers, expected, completeness, told) in cases {
        let (mut session, heard) = session(mlst, true, answers).await;
        let listing = session.client.list(&at("/d")).await.unwrap_or_else(|error| panic!("{answers:?}: {error}"));
        let expected: Vec<_> = expected.iter().map(|name| name.as_bytes()).collect();
        assert_eq!((names(&listing), listing.completeness), (expected, completeness), "{answers:?}");
        assert_eq!(verbs(&heard), told);
    }
    // A missing directory is refused whatever the way.
    for answers in [&[("MLSD", "226 ok", Some("")), MISSING][..], &[("MLSD", "550 no", None), MISSING], &[MISSING]] {
        let (mut session, _) = session(answers.len() > 1, true, answers).await;
        let error = session.client.list(&at("/d")).await.expect_err("missing");
        assert!(error.leaves_connection_usable() && error.to_string().contains("550"), "{error}");
        session.ping().await.expect("still in step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_that_was_refused_is_not_tried_again() {
    let (mut session, heard) = session(
        true,
        true,
        &[NO_MLSD, THERE, ("LIST -a", "501 no", None), ("STAT", "502", None), ("LIST", "226 ok", Some(PLAIN))],
    )
    .await;
    for _ in 0..2 {
        session.client.list(&at("/d")).await.expect("a listing");
    }
    assert_eq!(verbs(&heard)[8..], ["CWD /d", "LIST"]);
}

/// A directory that the server does not want to list once made each way be taken for one that it does not know.
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_not_listed_is_no_matter_of_the_way() {
    const NO: &str = "550 Permission denied";
    let answers =
        vec![THERE, ("LIST -a", NO, None), ("LIST -a", "226 ok", Some(DOT)), ("STAT", NO, None), ("LIST", NO, None)].leak();
    let (mut session, heard) = session(false, true, answers).await;
    let error = session.client.list(&at("/secret")).await.expect_err("refused");
    assert!(error.to_string().contains("Permission denied"), "{error}");
    assert!(session.client.list(&at("/d")).await.expect("a listing").is_complete());
    assert_eq!(verbs(&heard)[6..], ["CWD /d", "LIST -a"]);
}

#[tokio::test(start_paused = true)]
async fn no_refusal_that_may_mean_something_else_proves_absence() {
    const NONE: Answer = ("CWD", "550 no such directory", None);
    const PARENT: [Answer; 2] = [("CWD /d/", "550 no such directory", None), ("CWD", "250 there", None)];
    const WITH: Answer = ("LIST -a", "226 ok", Some(DOT));
    const UNSURE: Answer = ("LIST -a", "226 ok", Some(PLAIN));
    let file = Some((ListedKind::File, Some(5)));
    // MLST and SIZE in FEAT; the answers; what is found for `one` and for `two`: `None` is an error.
    type Kind = Option<(ListedKind, Option<u64>)>;
    type Case = (bool, bool, Vec<Answer>, Option<Kind>, Option<Kind>);
    let cases: [Case; 11] = [
        (true, true, vec![("MLST", "550 no such file", None)], Some(None), Some(None)),
        (true, true, vec![("MLST", "450 no", None), ("SIZE", "213 5", None)], Some(file), Some(file)),
        (true, true, vec![("MLST", "550 Permission denied", None), ("SIZE", "213 5", None)], Some(file), Some(file)),
        (
            true,
            true,
            vec![("MLST", "250 fine", None), ("SIZE", "550 no", None), THERE],
            Some(Some((ListedKind::Dir, None))),
            Some(Some((ListedKind::Dir, None))),
        ),
        // Two that agree.
        (false, true, vec![("SIZE", "550 no", None), NONE], Some(None), Some(None)),
        // Codes that say nothing: the directory is looked at.
        (false, true, vec![("SIZE", "450 no", None), PARENT[0], PARENT[1], WITH], Some(file), Some(None)),
        (false, true, vec![("SIZE", "550 Access is denied", None), PARENT[0], PARENT[1], WITH], Some(file), Some(None)),
        (false, true, vec![("SIZE", "550 no", None), ("CWD /d/", "450 no", None), PARENT[1], WITH], Some(file), Some(None)),
        (false, false, vec![("SIZE", "500 what?", None), PARENT[0], PARENT[1], WITH], Some(file), Some(None)),
        // A server that does not claim to know SIZE may say 550 to it always.
        (false, false, vec![("SIZE", "550 no", None), PARENT[0], PARENT[1], UNSURE], Some(file), None),
        (
            true,
            true,
            vec![("MLST", "450", None), ("MLSD", "450", None), ("SIZE", "451", None), ("CWD", "450 later", None)],
            None,
            None,
        ),
    ];
    for (mlst, size, answers, one, two) in cases {
        let shown = format!("{answers:?}");
        let (mut session, _) = session(mlst, size, answers.leak()).await;
        for (name, expected) in [("/d/one", one), ("/d/two", two)] {
            let found = session.client.find(&at(name)).await;
            match (found, expected) {
                (Ok(found), Some(expected)) => {
                    assert_eq!(found.map(|found| (found.kind, found.size)), expected, "{name}: {shown}");
                }
                (Err(error @ Error::Undecided(_)), None) => assert!(error.leaves_connection_usable()),
                (other, _) => panic!("{name}: {shown}: {other:?}"),
            }
        }
        session.ping().await.expect("still in step");
    }
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_file_where_size_does_not_say() {
    const PARENT: [Answer; 2] = [("CWD /d/", "550 no such directory", None), ("CWD", "250 there", None)];
    for no in ["500 what?", "550 SIZE not allowed in ASCII mode", "450 busy"] {
        let answers = vec![("SIZE", no, None), PARENT[0], PARENT[1], ("LIST -a", "226 ok", Some(DOT))];
        let (mut session, _) = session(false, false, answers.leak()).await;
        assert_eq!(session.size(&path("d/one")).await.expect("a size"), Some(5), "{no}");
        assert_eq!(session.size(&path("d/two")).await.expect("an answer"), None, "{no}");
    }
}

/// MKD of what is there has many codes, some of them positive.
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_there_is_made() {
    for reply in ["257 made", "250 made", "550 exists", "521 exists", "450 exists", "501 exists"] {
        let (mut session, _) = session(false, true, vec![("MKD", reply, None), ("SIZE", "550 no", None), THERE].leak()).await;
        session.make_dir(&path("d")).await.expect(reply);
    }
}

/// The 226 overtakes the data; all of it is read nevertheless.
#[tokio::test(start_paused = true)]
async fn a_226_before_the_listing_cuts_nothing() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.answer("250 there").await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 look\r\n226 done").await?;
        let mut data = peer.accept_data().await?;
        for line in DOT.split_inclusive('\n') {
            sleep(Duration::from_secs(1)).await;
            data.write_all(line.as_bytes()).await.ok()?;
            data.flush().await.ok()?;
        }
        data.shutdown().await.ok()?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        peer.agree().await
    }));
    let mut session = connected(&remote).await;
    let listing = session.client.list(&at("/d")).await.expect("a listing");
    assert_eq!((names(&listing), listing.is_complete()), (vec![&b"one"[..]], true));
    session.ping().await.expect("still in step");
}

/// All was sent and nobody said that it arrived: the session is dead, so that the job is in doubt.
#[tokio::test(start_paused = true)]
async fn a_226_that_is_lost_leaves_doubt() {
    let (remote, _) = remote_to(Server::new(|peer: Peer| async {
        let mut peer = peer.log_in().await?;
        peer.passive().await?;
        peer.hear().await?;
        peer.say("150 send").await?;
        let mut data = peer.accept_data().await?;
        data.read_to_end(&mut Vec::new()).await.ok()?;
        data.shutdown().await.ok()?;
        None
    }));
    let error = store_fails(&mut connected(&remote).await, 10_000).await;
    assert_eq!((error.class, error.session_survives()), (Class::Transient, false), "{error}");
}

/// What telnet would take for a command goes out only where 0xFF is doubled.
#[tokio::test(start_paused = true)]
async fn the_byte_0xff_is_doubled_where_the_server_wants_it() {
    let (mut session, heard) = session(false, true, &[]).await;
    let name = RelPath::new(b"a\xff\xfeb").expect("valid");
    let error = session.remove_file(&name).await.expect_err("refused here");
    assert_eq!((error.class, error.session_survives()), (Class::Name, true), "{error}");
    assert_eq!(heard.lines().len(), 8, "nothing was sent");
    session.client.set_encoding(Encoding { telnet_doubled: true });
    session.remove_file(&name).await.expect("sent");
    assert_eq!(verbs(&heard), [String::from_utf8_lossy(b"DELE /a\xff\xff\xfeb").into_owned()]);
}
