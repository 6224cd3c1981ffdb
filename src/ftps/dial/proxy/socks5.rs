//! SOCKS5 (RFC 1928) with user and password (RFC 1929): the CONNECT request alone. Every message has a length that is known
//! before it is read.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::ProxyFailure;

const VERSION: u8 = 5;
const NO_AUTH: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Asks for a connection.
pub(super) async fn connect<S>(
    stream: &mut S,
    host: &str,
    port: u16,
    user: Option<(&str, &SecretString)>,
) -> Result<(), ProxyFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(host, port)?;
    let account = user.map(|(user, password)| account(user, password)).transpose()?;
    let hello: &[u8] = if account.is_some() { &[VERSION, 2, NO_AUTH, PASSWORD] } else { &[VERSION, 1, NO_AUTH] };
    send(stream, hello).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    if let Some(account) = chosen(answer, account)? {
        send(stream, &account).await?;
        stream.read_exact(&mut answer).await?;
        // The version here is that of RFC 1929; what is not success is failure.
        if answer[1] != 0 {
            return Err(ProxyFailure::AuthRefused);
        }
    }
    send(stream, &request).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    outcome(head)?;
    // The address that the proxy uses. It is of no interest, but it has to be read.
    let length = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(ProxyFailure::OtherProtocol),
    };
    let mut address = [0; 255 + 2];
    stream.read_exact(&mut address[..length + 2]).await?;
    Ok(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), ProxyFailure> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

/// The account, if it is what the proxy chose.
fn chosen<T>(answer: [u8; 2], account: Option<T>) -> Result<Option<T>, ProxyFailure> {
    match (answer, account) {
        ([VERSION, NO_AUTH], _) => Ok(None),
        ([VERSION, PASSWORD], Some(account)) => Ok(Some(account)),
        ([VERSION, NONE_ACCEPTABLE], Some(_)) => Err(ProxyFailure::AuthRefused),
        ([VERSION, _], None) => Err(ProxyFailure::AuthNeeded),
        _ => Err(ProxyFailure::OtherProtocol),
    }
}

fn account(user: &str, password: &SecretString) -> Result<Zeroizing<Vec<u8>>, ProxyFailure> {
    let password = password.expose_secret();
    // Reserved at once: a vector that grows leaves copies behind.
    let mut message = Zeroizing::new(Vec::with_capacity(3 + user.len() + password.len()));
    message.push(1);
    for part in [user, password] {
        match u8::try_from(part.len()) {
            Ok(length @ 1..) => message.push(length),
            _ => return Err(ProxyFailure::Unsendable("SOCKS5 takes 1 to 255 bytes of each")),
        }
        message.extend_from_slice(part.as_bytes());
    }
    Ok(message)
}

fn request(host: &str, port: u16) -> Result<Vec<u8>, ProxyFailure> {
    let mut message = vec![VERSION, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            message.push(1);
            message.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            message.push(4);
            message.extend(address.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| ProxyFailure::Refused("the host name is too long".to_owned()))?;
            message.extend([3, length]);
            message.extend(host.as_bytes());
        }
    }
    message.extend(port.to_be_bytes());
    Ok(message)
}

fn outcome(head: [u8; 4]) -> Result<(), ProxyFailure> {
    let words = match head {
        [VERSION, 0, ..] => return Ok(()),
        [VERSION, 1, ..] => "general failure",
        [VERSION, 2, ..] => "not allowed by its rules",
        [VERSION, 3, ..] => "network unreachable",
        [VERSION, 4, ..] => "host unreachable",
        [VERSION, 5, ..] => "connection refused",
        [VERSION, 6, ..] => "TTL expired",
        [VERSION, 7, ..] => "it does not know CONNECT",
        [VERSION, 8, ..] => "it does not know this kind of address",
        _ => return Err(ProxyFailure::OtherProtocol),
    };
    Err(ProxyFailure::Refused(words.to_owned()))
}
