use super::*;
use crate::remote::{Remote, memory::MemoryRemote};

fn bond(written: u64, promised: u64) -> Bond {
    Bond { id: "abc1".into(), written, promised, target: "there".into(), takes_over: false }
}

fn marker(id: &str, turn: u64) -> Found {
    Found::Marker { id: id.into(), turn }
}

#[test]
fn a_marker_is_read_as_it_was_written_and_known_by_its_beginning() {
    let text = bond(3, 17).text();
    assert_eq!(Found::parse(text.as_bytes()), marker("abc1", 17));
    for end in 0..text.find("17").expect("the turn") {
        assert!(matches!(Found::parse(&text.as_bytes()[..end]), Found::Torn(id) if "abc1".starts_with(&id)), "{end}");
    }
    for other in [&b"x"[..], b"towline-mirror 2\nid a\nturn 1\n", b"\xff", b"towline-mirror 1\nid ../..\nturn 1\n"] {
        assert_eq!(Found::parse(other), Found::Other, "{}", other.escape_ascii());
    }
    assert_eq!(Found::parse(&[0; 9]), Found::Torn(String::new()));
    let endless = [HEAD.as_bytes(), &[b'a'; 100], b"\nturn 1\n"].concat();
    assert_eq!(Found::parse(&endless), Found::Other);
    assert_eq!(Found::parse(b"towline-mirror 1\nid a\nturn x\n"), Found::Other);
}

#[test]
fn whose_a_directory_is() {
    let torn = |id: &str| Found::Torn(id.into());
    for (what, bond, found, target, stand) in [
        ("the first time", bond(0, 1), Found::Nothing, "there", Stand::Ours),
        ("ours", bond(3, 4), marker("abc1", 3), "there", Stand::Ours),
        ("written, not noted", bond(3, 9), marker("abc1", 9), "there", Stand::Ours),
        ("gone", bond(3, 4), Found::Nothing, "there", Stand::Missing),
        ("cut off while it was written", bond(3, 4), torn("ab"), "there", Stand::Ours),
        ("cut off, with a lower turn", bond(9, 4), torn("ab"), "there", Stand::Ours),
        ("cut off by the server's end", bond(4, 4), torn(""), "there", Stand::Ours),
        ("empty", bond(0, 1), torn(""), "there", Stand::Ours),
        ("moved along with the configuration", bond(3, 4), marker("abc1", 3), "elsewhere", Stand::Ours),
        ("elsewhere", bond(3, 4), Found::Nothing, "elsewhere", Stand::Elsewhere),
        ("never anywhere", bond(0, 1), Found::Nothing, "elsewhere", Stand::Elsewhere),
        ("taken over", Bond { takes_over: true, ..bond(3, 4) }, marker("x", 9), "there", Stand::Ours),
        ("taken over where it is missing", Bond { takes_over: true, ..bond(3, 4) }, Found::Nothing, "there", Stand::Ours),
        ("taken over elsewhere", Bond { takes_over: true, ..bond(3, 4) }, marker("x", 9), "elsewhere", Stand::Elsewhere),
    ] {
        assert_eq!(bond.judge(&found, target), stand, "{what}");
    }
    for (what, found, target) in [
        ("another state", marker("x", 1), "there"),
        ("another copy of this state", marker("abc1", 5), "there"),
        ("cut off, another's", torn("x"), "there"),
        ("another state elsewhere", marker("x", 1), "elsewhere"),
        ("no marker", Found::Other, "there"),
    ] {
        assert!(matches!(bond(3, 4).judge(&found, target), Stand::Foreign(_)), "{what}");
    }
}

#[test]
fn a_turn_follows_when_the_one_before_is_written() {
    assert_eq!((bond(0, 0).next(5).promised, bond(7, 7).next(5).promised), (5, 5));
    assert_eq!(bond(3, 7).next(5).promised, 7, "it may be there already, or not yet");
}

/// Each process looks once in full; the sessions that follow find what it wrote.
#[tokio::test]
async fn the_first_session_writes_and_the_next_only_looks() {
    let remote = MemoryRemote::new(crate::remote::memory::Options::default());
    let marking = Marking::new("there".into());
    marking.bind(bond(0, 1));
    let mut session = remote.connect().await.unwrap();
    assert!(marking.check(&mut session).await.unwrap());
    assert_eq!((marking.stand(), marking.bond()), (Stand::Ours, bond(1, 1)));
    // A copy of the state: from now on it is that one's.
    let copy = Marking::new("there".into());
    copy.bind(bond(1, 1).next(2));
    assert!(copy.check(&mut session).await.unwrap());
    marking.bind(bond(1, 1));
    assert!(!marking.check(&mut session).await.unwrap());
    assert!(marking.bars() && matches!(marking.stand(), Stand::Foreign(_)));
    marking.bind(Bond { takes_over: true, ..bond(1, 1) }.next(3));
    assert!(marking.check(&mut session).await.unwrap());
    // Gone: that stops the job that finds it, and none that was planned with it in mind.
    let marker = RelPath::new(MARKER).unwrap();
    remote.edit(|tree| tree.remove_file(&marker)).unwrap();
    assert!(!marking.check(&mut session).await.unwrap());
    assert_eq!(marking.stand(), Stand::Missing);
    assert!(marking.check(&mut session).await.unwrap());
    assert!(remote.tree().get(&marker).is_none());
}
