//! Data connections to where they should not lead, and data connections that are not what was agreed on. The body is told to nobody.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towline::remote::Class;

use super::{
    guest::{self, Guest, pasv},
    identity::{IDENTITIES, Identities, Identity},
    scene::{Scene, scene},
};

const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(super) fn scenes() -> Vec<Scene> {
    [elsewhere(), unprotected()].into_iter().flatten().collect()
}

/// Answers EPSV and PASV for good.
async fn passive(mut guest: Guest, epsv: impl Fn(&Guest) -> String, pasv: impl Fn(&Guest) -> String) -> Option<()> {
    guest.until("EPSV").await?;
    guest.say(epsv(&guest)).await?;
    guest.until("PASV").await?;
    guest.say(pasv(&guest)).await?;
    guest.go_on().await
}

fn elsewhere() -> Vec<Scene> {
    let refused = |_: &Guest| "500 what?".to_owned();
    vec![
        // The port is dialed at the server itself, where nobody listens.
        scene("pasv_to_a_third_host", move |guest| passive(guest, refused, |guest| pasv(THIRD, guest.house.third_port)))
            .logs_in()
            .fails(Class::Transient, &["cannot connect to data port"])
            .and_binary(69),
        scene("epsv_to_a_third_host", move |guest| {
            passive(guest, |guest| format!("229 go to (|1|127.0.0.2|{}|)", guest.house.third_port), refused)
        })
        .logs_in()
        .fails(Class::Transient, &["cannot connect to data port"]),
        // The same port at the server is open: what is meant for a third host comes to the server.
        scene("pasv_to_a_third_host_and_us", |mut guest| async move {
            guest.until("EPSV").await?;
            guest.say("500 what?").await?;
            for _ in 0..2 {
                guest.until("PASV").await?;
                let port = guest.open_port().await?;
                guest.say(pasv(THIRD, port)).await?;
            }
            guest.go_on().await
        })
        .sends(),
        scene("epsv_with_an_address", |mut guest| async move {
            guest.until("EPSV").await?;
            let port = guest.open_port().await?;
            guest.say(format!("229 go to (|1|127.0.0.2|{port}|)")).await?;
            guest.go_on().await
        })
        .sends()
        .and_binary(0),
        scene("port_zero", move |guest| passive(guest, |_| "229 go to (|||0|)".into(), |_| pasv(Ipv4Addr::LOCALHOST, 0)))
            .logs_in()
            .fails(Class::Transient, &["PASV was refused"]),
        scene("port_of_the_control_connection", |mut guest| async move {
            loop {
                guest.until("EPSV").await?;
                let port = guest.house.port;
                guest.say(format!("229 go to (|||{port}|)")).await?;
                guest.until("STOR").await?;
            }
        })
        .logs_in()
        .fails(Class::Tls, &["not TLS"]),
        scene("garbage_for_a_port", move |guest| {
            passive(guest, |_| "229 (|||99999|) (||) %n".into(), |_| "227 (1,2,3,4,5,256,,-1)".into())
        })
        .logs_in()
        .fails(Class::Transient, &["PASV was refused"]),
        scene("a_port_without_a_listener", |mut guest| async move {
            loop {
                guest.until("EPSV").await?;
                guest.say("229 go to (|||1|)").await?;
                guest.until("PASV").await?;
                guest.say(pasv(Ipv4Addr::LOCALHOST, 1)).await?;
            }
        })
        .logs_in()
        .fails(Class::Transient, &["cannot connect to data port 1"]),
        scene("every_data_connection_refused_425", |mut guest| async move {
            loop {
                guest.until("STOR").await?;
                guest.say("425 not that session").await?;
            }
        })
        .logs_in()
        .fails(Class::Transient, &["STOR failed: 425"]),
    ]
}

/// Takes the data connection as somebody else, and tries to read a body.
fn data_as(name: &'static str, identity: fn(&Identities) -> &Identity) -> Scene {
    scene(name, move |mut guest| async move {
        guest.until("STOR").await?;
        guest.say("150 send").await?;
        if let Some(mut data) = guest.data_as(identity(&IDENTITIES)).await {
            data.read_to_end(&mut Vec::new()).await.ok();
        }
        guest.silence().await
    })
    .logs_in()
}

fn unprotected() -> Vec<Scene> {
    vec![
        scene("data_connection_in_clear", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            let mut data = guest.clear_data().await?;
            data.write_all(b"just send it in clear\r\n").await.ok()?;
            guest::silence(&mut data).await;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Tls, &["not TLS"])
        .and_binary(76),
        scene("data_connection_without_a_word", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            let mut data = guest.clear_data().await?;
            guest::silence(&mut data).await;
            guest.silence().await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: TLS handshake of the data connection"]),
        scene("data_connection_never_accepted", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            guest.silence().await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: TLS handshake of the data connection"]),
        scene("data_handshake_drips", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            let mut data = guest.clear_data().await?;
            data.write_all(&[0x16, 3, 3, 0x40, 0]).await.ok()?;
            guest::drip(&mut data, &[2]).await;
            guest.silence().await
        })
        .impatient()
        .logs_in()
        .fails(Class::Transient, &["in time: TLS handshake of the data connection"]),
        scene("data_connection_of_the_third_kind", |mut guest| async move {
            guest.until("STOR").await?;
            guest.say("150 send").await?;
            let mut data = guest.clear_data().await?;
            guest::flood(&guest.house.clone(), &mut data, b"220 spam\r\n").await;
            guest.silence().await
        })
        .logs_in()
        .fails(Class::Tls, &["not TLS"]),
        data_as("data_connection_with_another_certificate", |all| &all.other)
            .fails(Class::Tls, &["another key in its certificate"])
            .and_binary(76),
        data_as("data_connection_without_the_key", |all| &all.wrong_key).fails(Class::Tls, &["does not hold the key"]),
        data_as("data_connection_with_an_expired_certificate", |all| &all.expired).fails(Class::Tls, &["has expired"]),
        data_as("data_connection_of_another_host", |all| &all.wrong_host).fails(Class::Tls, &["ftp.example.net"]),
        data_as("data_connection_of_an_unknown_issuer", |all| &all.unknown_issuer).fails(Class::Tls, &["issuer is unknown"]),
    ]
}
