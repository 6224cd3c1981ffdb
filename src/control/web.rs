//! The web page of `towline web`: a few embedded files and a way through to the control API, on loopback, for whoever has the token. It
//! is a client of the daemon's socket like any other; the daemon knows nothing of it.
//!
//! Every path begins with the token, so that nothing is answered to anybody else; what changes something must bring it in a header as
//! well, which no page of another origin can send. There is no cookie that a browser would send by itself. The `Host` must name
//! loopback: a name that is made to point here (DNS rebinding) is refused.

use std::{
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{client::Client, refuse};

/// The header in which the token has to come with everything that changes something.
pub const TOKEN_HEADER: &str = "x-towline-token";
/// No request is larger.
const LARGEST: usize = 64 * 1024;
/// Nothing but the page's own files and requests; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What goes with every answer.
const ALWAYS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What a page must know to be answered: 128 random bits, as 32 hexadecimal digits. Has no Debug.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// When the system has none.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes)).into()))
    }

    /// As it stands in the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `said` is it; takes as long whichever byte differs.
    fn is(&self, said: &[u8]) -> bool {
        // Hashes of that library are compared in constant time.
        blake3::hash(self.0.as_bytes()) == blake3::hash(said)
    }
}

/// Opens `port` (0: any) on loopback.
///
/// # Errors
/// When it is taken.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Answers on `listener` for the daemon behind `socket`, until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, socket: &Path, token: Token, stop: CancellationToken) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    let routes = routes(Client::new(socket), token, port);
    tokio::select! {
        result = axum::serve(listener, routes) => result,
        () = stop.cancelled() => Ok(()),
    }
}

/// What is needed to judge a request.
#[derive(Clone)]
struct Gate {
    token: Token,
    /// `host:port`, as a browser may name this server.
    hosts: [String; 2],
}

fn routes(client: Client, token: Token, port: u16) -> Router {
    let gate = Gate { token, hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")] };
    Router::new().fallback(answer).with_state(client).layer(from_fn_with_state(gate, guard))
}

/// Lets through what may be answered, without the token in its path, and sees to the headers of every answer.
async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let judged = gate.judge(request.method(), request.uri().path(), request.headers());
    let mut response = match judged {
        Ok(rest) => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            match format!("{rest}{query}").parse() {
                Ok(uri) => {
                    *request.uri_mut() = uri;
                    next.run(request).await
                }
                Err(_) => refuse(StatusCode::BAD_REQUEST, "this is no path".to_owned()),
            }
        }
        Err((code, why)) => refuse(code, why.to_owned()),
    };
    for (name, value) in ALWAYS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Gate {
    /// What is left of the path behind the token, or why there is no answer.
    fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<String, (StatusCode, &'static str)> {
        let one = |name: &str| {
            let mut all = headers.get_all(name).iter();
            all.next().filter(|_| all.next().is_none()).map(HeaderValue::as_bytes)
        };
        let is_here = |host: &[u8]| self.hosts.iter().any(|known| known.as_bytes() == host);
        if !one("host").is_some_and(is_here) {
            return Err((StatusCode::FORBIDDEN, "this is answered on 127.0.0.1 and localhost alone"));
        }
        let (said, rest) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
        if !self.token.is(said.as_bytes()) {
            return Err((StatusCode::UNAUTHORIZED, "open the address that `towline web` has printed"));
        }
        let own_origin = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(is_here);
        if headers.contains_key("origin") && !one("origin").is_some_and(own_origin) {
            return Err((StatusCode::FORBIDDEN, "another page may not ask here"));
        }
        if !matches!(*method, Method::GET | Method::HEAD) && !one(TOKEN_HEADER).is_some_and(|said| self.token.is(said)) {
            return Err((StatusCode::UNAUTHORIZED, "what changes something has to bring the token in a header"));
        }
        Ok(format!("/{rest}"))
    }
}

/// The page's files, and what it may ask of the daemon.
async fn answer(State(client): State<Client>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let file = |kind: &'static str, text: &'static str| ([(header::CONTENT_TYPE, kind)], text).into_response();
    match (&parts.method, path) {
        (&Method::GET, "/") => file("text/html; charset=utf-8", include_str!("web/index.html")),
        (&Method::GET, "/app.js") => file("text/javascript; charset=utf-8", include_str!("web/app.js")),
        (&Method::GET, "/style.css") => file("text/css; charset=utf-8", include_str!("web/style.css")),
        (method, path) if may_ask(method, path) => {
            let Ok(body) = to_bytes(body, LARGEST).await else {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large".to_owned());
            };
            let asked = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            match client.forward(parts.method.clone(), asked, body).await {
                Ok((code, kind, body)) => {
                    let mut response = Response::new(Body::new(body));
                    *response.status_mut() = code;
                    response.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
                    response
                }
                Err(e) => refuse(StatusCode::BAD_GATEWAY, e.to_string()),
            }
        }
        _ => refuse(StatusCode::NOT_FOUND, "there is nothing of this name".to_owned()),
    }
}

/// What the page has buttons and lists for; nothing else goes through.
fn may_ask(method: &Method, path: &str) -> bool {
    const READS: [&str; 2] = ["queue", "log"];
    const CHANGES: [&str; 6] = ["pause", "resume", "retry", "approve", "reject", "undo"];
    let mirror = path.strip_prefix("/v1/mirrors/").and_then(|path| path.split_once('/')).map(|(_, verb)| verb);
    match (method, mirror) {
        (&Method::GET, None) => matches!(path, "/v1/status" | "/v1/events"),
        (&Method::GET, Some(verb)) => READS.contains(&verb),
        (&Method::POST, Some(verb)) => CHANGES.contains(&verb),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
