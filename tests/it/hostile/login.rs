//! A server of the right name that will not protect files, or does odd things with the account. Where PROT P is refused the password
//! stays here.

use towline::remote::Class;

use super::{
    house::PASSWORD,
    scene::{Scene, scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    [unprotected(), accounts(), features()].into_iter().flatten().collect()
}

/// Answers the command `verb`, then goes on as if nothing were amiss.
fn answers(name: &'static str, verb: &'static str, reply: &'static str) -> Scene {
    scene(name, move |mut guest| async move {
        guest.until(verb).await?;
        guest.say(reply).await?;
        guest.go_on().await
    })
}

fn unprotected() -> Vec<Scene> {
    vec![
        answers("pbsz_refused", "PBSZ", "500 what?").fails(Class::Tls, &["refused PBSZ"]),
        answers("prot_refused_536", "PROT", "536 not P").fails(Class::Tls, &["refused PROT P", "536"]).and_binary(76),
        answers("prot_refused_504", "PROT", "504 only C").fails(Class::Tls, &["refused PROT P"]),
        answers("prot_wants_the_password_first", "PROT", "530 log in first")
            .fails(Class::Tls, &["wants a login before PROT P"])
            .and_binary(76),
        answers("prot_answered_331", "PROT", "331 password?").fails(Class::Tls, &["refused PROT P"]),
        answers("prot_answered_421", "PROT", "421 bye").fails(Class::Busy, &["turned the connection away"]),
        scene("silence_after_prot", |mut guest| async move {
            guest.until("PROT").await?;
            guest.silence().await
        })
        .impatient()
        .fails(Class::Transient, &["in time: reply"]),
        scene("closed_in_tls_without_close_notify", |mut guest| async move { guest.until("PBSZ").await.map(drop) })
            .fails(Class::Transient, &["closed the control connection"]),
    ]
}

fn accounts() -> Vec<Scene> {
    vec![
        scene("silence_after_user", |mut guest| async move {
            guest.until("USER").await?;
            guest.silence().await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: reply"])
        .and_binary(69),
        answers("refused_with_format_strings", "PASS", "530 %s%n%x {} {0} {why} ${HOME} $(id)")
            .logs_in()
            .fails(Class::Auth, &["530 %s%n%x {} {0} {why} ${HOME} $(id)"])
            .and_binary(77),
        answers("password_asked_for_again_and_again", "PASS", "331 once more").logs_in().fails(Class::Protocol, &["unexpected"]),
        answers("account_asked_for", "PASS", "332 account?").logs_in().fails(Class::Auth, &["ACCT"]),
        scene("password_echoed_in_a_refusal", |mut guest| async move {
            let password = guest.until("PASS").await?;
            guest.say(format!("530-no user with {password}\r\nPASS {password}\r\n530 {password}{password}")).await?;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Auth, &["no user with ***"])
        .and_binary(77),
        scene("password_echoed_in_welcome_and_later", |mut guest| async move {
            let password = guest.until("PASS").await?;
            guest.say(format!("230 welcome, {password}")).await?;
            guest.until("FEAT").await?;
            guest.say(format!("211-{password}\r\n SIZE\r\n {password}\r\n211 {password}")).await?;
            guest.until("TYPE").await?;
            guest.say(format!("200 {password}")).await?;
            guest.until("STOR").await?;
            guest.say(format!("550 not for {password}")).await?;
            guest.go_on().await
        })
        .logs_in()
        .fails(Class::Refused, &["not for ***"])
        .and_binary(3),
        // vsftpd's last words, as where the account's directory may be written to and is the root.
        scene("last_words_in_clear", |mut guest| async move {
            guest.until("PASS").await?;
            guest.say_in_clear("500 OOPS: vsftpd: refusing to run with writable root inside chroot()")?;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Transient, &["fell out of TLS", "500 OOPS: vsftpd: refusing to run with writable root"])
        .and_binary(69),
        scene("last_words_in_clear_with_the_password", |mut guest| async move {
            let password = guest.until("PASS").await?;
            guest.say_in_clear(&format!("500 no {password}"))?;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Transient, &["500 no ***"]),
        scene("password_echoed_for_an_unexpected_reply", |mut guest| async move {
            guest.until("TYPE").await?;
            guest.say(format!("350 {PASSWORD}")).await?;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Protocol, &["unexpected reply to TYPE I", "***"]),
    ]
}

fn features() -> Vec<Scene> {
    vec![
        scene("endless_features", |mut guest| async move {
            guest.until("FEAT").await?;
            guest.say("211-Features:").await?;
            guest.flood(b" SITE MKDIR;RMDIR;UTIME;CHMOD\r\n").await
        })
        .logs_in()
        .fails(Class::Protocol, &["reply above"])
        .and_binary(76),
        scene("endless_feature", |mut guest| async move {
            guest.until("FEAT").await?;
            guest.say("211-Features:").await?;
            guest.flood(b" MLST size*;").await
        })
        .logs_in()
        .fails(Class::Protocol, &["reply line above"]),
        scene("features_drip", |mut guest| async move {
            guest.until("FEAT").await?;
            guest.drip(b"211-Features:\r\n SIZE\r\n").await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: end of a reply"])
        .and_binary(69),
        scene("two_replies_to_one_command", |mut guest| async move {
            guest.until("OPTS").await?;
            guest.send("200 yes\r\n200 and a surprise\r\n").await?;
            guest.go_on().await
        })
        .logs_in()
        .fails(Class::Transient, &["no command had asked for", "a surprise"])
        .and_binary(69),
        scene("a_reply_that_nobody_asked_for", |mut guest| async move {
            guest.until("TYPE").await?;
            guest.send("200 binary\r\n226 all is well\r\n").await?;
            guest.go_on().await
        })
        .logs_in()
        .fails(Class::Transient, &["no command had asked for", "226 all is well"]),
        scene("endless_replies_that_nobody_asked_for", |mut guest| async move {
            guest.until("TYPE").await?;
            guest.flood(b"200 yes\r\n").await
        })
        .logs_in()
        .fails(Class::Transient, &["no command had asked for", "200 yes"])
        .and_binary(69),
    ]
}
