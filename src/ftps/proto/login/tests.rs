//! Logins fed with replies: what is sent, in which order, and how each ends.

use proptest::prelude::*;

use super::*;

fn login(mode: Mode) -> Login {
    Login::new(Credentials::new("me", "secret").expect("sendable"), mode)
}

fn reply(code: u16) -> Reply {
    Reply { code, lines: vec![b"x".to_vec()] }
}

/// The reply to FEAT.
fn feat(lines: &[&str]) -> Reply {
    let lines = ["Features"].iter().chain(lines).chain(&["End"]).map(|line| line.as_bytes().to_vec()).collect();
    Reply { code: 211, lines }
}

/// Feeds the replies; gives the verbs that were sent and how it ended.
fn feed(mode: Mode, replies: impl IntoIterator<Item = Reply>) -> (Vec<&'static str>, Option<LoginError>) {
    let mut login = login(mode);
    let mut sent = Vec::new();
    if mode == Mode::Implicit {
        sent.push("(tls)");
    }
    for reply in replies {
        let mut step = match login.on_reply(reply) {
            Ok(step) => step,
            Err(error) => return (sent, Some(error)),
        };
        if let Step::StartTls = step {
            sent.push("(tls)");
            step = login.encrypted();
        }
        if let Step::Send(command) = step {
            sent.push(command.verb());
        }
    }
    (sent, None)
}

fn run(codes: &[u16]) -> (Vec<&'static str>, Option<LoginError>) {
    feed(Mode::Explicit, codes.iter().copied().map(reply))
}

const ORDER: [&str; 8] = ["AUTH TLS", "(tls)", "PBSZ 0", "PROT P", "USER", "PASS", "FEAT", "TYPE I"];

#[test]
fn the_order_is_fixed() {
    assert_eq!(run(&[120, 220, 234, 200, 200, 331, 230, 500, 200]), (ORDER.to_vec(), None));
    assert_eq!(run(&[220, 234, 200, 200, 230, 211]).0[4..], ["USER", "FEAT", "TYPE I"]);
}

#[test]
fn implicit_is_the_same_without_auth() {
    let replies = [120, 220, 200, 200, 331, 230, 500, 200].map(reply);
    assert_eq!(feed(Mode::Implicit, replies), (ORDER[1..].to_vec(), None));
    let (sent, error) = feed(Mode::Implicit, [220, 200, 536].map(reply));
    assert_eq!(sent, ["(tls)", "PBSZ 0", "PROT P"]);
    assert!(matches!(error, Some(LoginError::NoProtection { verb: "PROT P", .. })), "PROT P is needed there too");
}

#[test]
fn auth_ssl_only_where_nothing_else_is_offered() {
    let sent = |refusal: u16, offered: Reply, rest: &[u16]| {
        feed(Mode::Explicit, [reply(220), reply(refusal), offered].into_iter().chain(rest.iter().copied().map(reply)))
    };
    for refusal in [500, 502, 504, 534] {
        for agreed in [234, 334] {
            let (verbs, error) = sent(refusal, feat(&[" AUTH SSL", " PBSZ"]), &[agreed, 200, 200, 331, 230, 500, 200]);
            let order = ["AUTH TLS", "FEAT", "AUTH SSL"].iter().chain(&ORDER[1..]).copied().collect::<Vec<_>>();
            assert_eq!((verbs, error), (order, None), "{refusal} {agreed}");
        }
    }
    for offered in [feat(&[" AUTH TLS", " AUTH SSL"]), feat(&[" SIZE"]), feat(&[" AUTH TLS;SSL;"]), reply(211), reply(530)] {
        let (verbs, error) = sent(534, offered, &[234]);
        assert_eq!(verbs, ["AUTH TLS", "FEAT"]);
        assert_eq!(error, Some(LoginError::NoEncryption(reply(534))), "the first refusal is what is told");
    }
    // Another refusal is none of the name.
    assert_eq!(sent(530, feat(&[" AUTH SSL"]), &[234]).0, ["AUTH TLS"]);
    for refused in [200, 331, 500, 534] {
        assert_eq!(sent(502, feat(&[" AUTH SSL"]), &[refused]).1, Some(LoginError::NoEncryption(reply(refused))));
    }
}

#[test]
fn utf8_is_switched_on_only_where_it_is_listed() {
    let mut login = login(Mode::Explicit);
    for code in [220, 234] {
        login.on_reply(reply(code)).expect("goes on");
    }
    login.encrypted();
    for code in [200, 200, 331, 230] {
        login.on_reply(reply(code)).expect("goes on");
    }
    assert!(matches!(login.on_reply(feat(&[" UTF8"])), Ok(Step::Send(Command::OptsUtf8))));
    assert!(matches!(login.on_reply(reply(501)), Ok(Step::Send(Command::TypeImage))));
    assert!(matches!(login.on_reply(reply(200)), Ok(Step::Ready(features)) if features.utf8));
}

#[test]
fn what_goes_ahead_is_what_follows_and_never_the_password() {
    let replies =
        [reply(220), reply(234), reply(200), reply(200), reply(331), reply(230), feat(&[" UTF8"]), reply(200), reply(200)];
    let (mut login, mut expected) = (login(Mode::Explicit), Vec::<&str>::new());
    let mut flights = Vec::new();
    for reply in replies {
        let mut step = login.on_reply(reply).expect("goes on");
        if let Step::StartTls = step {
            step = login.encrypted();
        }
        let Step::Send(command) = step else { continue };
        if expected.is_empty() {
            let ahead = login.ahead();
            expected = ahead.iter().map(Command::verb).collect();
            flights.push([&[command.verb()][..], &expected].concat());
        } else {
            assert_eq!(command.verb(), expected.remove(0));
        }
    }
    let single = |verb| vec![verb];
    assert_eq!(
        flights,
        [single("AUTH TLS"), vec!["PBSZ 0", "PROT P", "USER"], single("PASS"), single("FEAT"), vec!["OPTS UTF8 ON", "TYPE I"]]
    );
}

#[test]
fn feat_after_the_login_counts() {
    let mut login = login(Mode::Explicit);
    for reply in [reply(220), reply(502), feat(&[" AUTH SSL", " MFMT"]), reply(234)] {
        login.on_reply(reply).expect("goes on");
    }
    login.encrypted();
    for code in [200, 200, 331, 230] {
        login.on_reply(reply(code)).expect("goes on");
    }
    login.on_reply(feat(&[" SIZE"])).expect("goes on");
    assert!(matches!(login.on_reply(reply(200)), Ok(Step::Ready(features)) if features.size && !features.mfmt));
}

#[test]
fn each_refusal_has_its_name() {
    use LoginError as E;
    assert!(matches!(run(&[421]).1, Some(E::Busy(_))));
    assert!(matches!(run(&[500]).1, Some(E::Greeting(_))));
    assert!(matches!(run(&[120, 120]).1, Some(E::Greeting(_))));
    assert!(matches!(run(&[220, 530]).1, Some(E::NoEncryption(_))));
    assert!(matches!(run(&[220, 500, 500]).1, Some(E::NoEncryption(_))));
    assert!(matches!(run(&[220, 200]).1, Some(E::NoEncryption(_))));
    assert!(matches!(run(&[220, 234, 500]).1, Some(E::NoProtection { .. })));
    assert!(matches!(run(&[220, 234, 200, 536]).1, Some(E::NoProtection { verb: "PROT P", .. })));
    assert!(matches!(run(&[220, 234, 200, 503]).1, Some(E::ProtectionAfterLogin { verb: "PROT P", .. })));
    assert!(matches!(run(&[220, 234, 200, 200, 530]).1, Some(E::Refused(_))));
    assert!(matches!(run(&[220, 234, 200, 200, 331, 530]).1, Some(E::Refused(_))));
    assert!(matches!(run(&[220, 234, 200, 200, 331, 332]).1, Some(E::Account(_))));
    assert!(matches!(run(&[220, 234, 200, 200, 331, 150]).1, Some(E::Unexpected { verb: "PASS", .. })));
    assert!(matches!(run(&[220, 234, 200, 200, 331, 230, 500, 504]).1, Some(E::Unexpected { verb: "TYPE I", .. })));
    assert!(matches!(run(&[220, 234, 200, 200, 421]).1, Some(E::Busy(_))));
    assert!(matches!(feed(Mode::Implicit, [reply(421)]).1, Some(E::Busy(_))));
}

/// Any reply, the ones that lead on more often than others.
fn any_reply() -> impl Strategy<Value = Reply> {
    let code = prop_oneof![
        Just(220),
        Just(234),
        Just(334),
        Just(200),
        Just(331),
        Just(230),
        Just(500),
        Just(534),
        Just(120),
        100u16..600
    ];
    prop_oneof![
        3 => code.prop_map(reply),
        1 => prop::sample::subsequence(vec![" AUTH TLS", " AUTH SSL", " UTF8"], 0..=3).prop_map(|lines| feat(&lines)),
    ]
}

/// The orders that there may be; PASS is left out where USER is enough, OPTS where there is no UTF-8.
fn is_a_beginning_of_an_order(mode: Mode, sent: &[&str]) -> bool {
    let by_ssl = ["AUTH TLS", "FEAT", "AUTH SSL"];
    let heads: &[&[&str]] = if mode == Mode::Implicit { &[&[]] } else { &[&by_ssl[..1], &by_ssl] };
    heads.iter().any(|head| {
        let full: Vec<_> =
            head.iter().copied().chain(["(tls)", "PBSZ 0", "PROT P", "USER", "PASS", "FEAT", "OPTS UTF8 ON", "TYPE I"]).collect();
        let kept = |out: &[&str]| full.iter().copied().filter(|verb| !out.contains(verb)).collect::<Vec<_>>();
        let orders = [kept(&[]), kept(&["PASS"]), kept(&["OPTS UTF8 ON"]), kept(&["PASS", "OPTS UTF8 ON"])];
        orders.iter().any(|order| order.starts_with(sent))
    })
}

proptest! {
    #[test]
    fn the_password_only_ever_follows_protection(
        implicit in any::<bool>(),
        replies in proptest::collection::vec(any_reply(), 0..14),
    ) {
        let mode = if implicit { Mode::Implicit } else { Mode::Explicit };
        let (sent, _) = feed(mode, replies.clone());
        prop_assert!(is_a_beginning_of_an_order(mode, &sent), "{:?}", sent);
        // Whatever was said, the account follows TLS, and a positive reply to PROT P.
        if let Some(user) = sent.iter().position(|verb| matches!(*verb, "USER" | "PASS")) {
            prop_assert!(sent[..user].ends_with(&["(tls)", "PBSZ 0", "PROT P"]), "{:?}", sent);
        }
    }
}
