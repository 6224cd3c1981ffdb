use super::*;

const HOST: &str = "127.0.0.1:4711";
const OWN: &str = "0123456789abcdef0123456789abcdef";

fn gate() -> Gate {
    Gate { token: Token(OWN.into()), hosts: [HOST.to_owned(), "localhost:4711".to_owned()] }
}

fn judged(method: &Method, path: &str, headers: &[(&'static str, &str)]) -> Result<String, u16> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    gate().judge(method, path, &map).map_err(|(code, _)| code.as_u16())
}

#[test]
fn a_token_is_random_and_compared_as_a_whole() {
    let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
    assert_eq!((one.as_str().len(), one.as_str() == other.as_str()), (32, false));
    assert!(one.is(one.as_str().as_bytes()) && !one.is(other.as_str().as_bytes()) && !one.is(b""));
    assert!(!one.is(&one.as_str().as_bytes()[..31]));
}

#[test]
fn nothing_is_answered_without_the_token() {
    let here = [("host", HOST)];
    let path = |rest: &str| format!("/{OWN}/{rest}");
    assert_eq!(judged(&Method::GET, &path(""), &here), Ok("/".to_owned()));
    assert_eq!(judged(&Method::GET, &path("v1/status"), &here), Ok("/v1/status".to_owned()));
    assert_eq!(judged(&Method::GET, &path("app.js"), &[("host", "localhost:4711")]), Ok("/app.js".to_owned()));
    for wrong in ["/", "/app.js", "/v1/status", "//", "/0123/", &format!("/{OWN}"), &format!("/{OWN}0/"), &format!("//{OWN}/")] {
        assert_eq!(judged(&Method::GET, wrong, &here), Err(401), "{wrong}");
        assert_eq!(judged(&Method::POST, wrong, &[("host", HOST), (TOKEN_HEADER, OWN)]), Err(401), "{wrong}");
    }
}

#[test]
fn another_name_of_this_machine_is_refused() {
    let path = format!("/{OWN}/");
    for host in
        ["evil.example", "evil.example:4711", "127.0.0.1", "127.0.0.1:80", "localhost.:4711", "127.0.0.1:4711.evil.example", ""]
    {
        assert_eq!(judged(&Method::GET, &path, &[("host", host)]), Err(403), "{host}");
    }
    assert_eq!(judged(&Method::GET, &path, &[]), Err(403));
    assert_eq!(judged(&Method::GET, &path, &[("host", HOST), ("host", HOST)]), Err(403), "two are none");
}

#[test]
fn what_changes_something_needs_the_header_and_the_own_origin() {
    let path = format!("/{OWN}/v1/mirrors/site/approve");
    let post = |headers: &[(&'static str, &str)]| judged(&Method::POST, &path, &[&[("host", HOST)], headers].concat());
    let own = (TOKEN_HEADER, OWN);
    assert!(post(&[own]).is_ok());
    assert!(post(&[own, ("origin", "http://127.0.0.1:4711")]).is_ok());
    assert_eq!(post(&[]), Err(401));
    assert_eq!(post(&[(TOKEN_HEADER, "wrong")]), Err(401));
    assert_eq!(post(&[own, own]), Err(401));
    for origin in ["http://evil.example", "https://127.0.0.1:4711", "http://127.0.0.1:4712", "null", ""] {
        assert_eq!(post(&[own, ("origin", origin)]), Err(403), "{origin}");
        let read = judged(&Method::GET, &format!("/{OWN}/v1/status"), &[("host", HOST), ("origin", origin)]);
        assert_eq!(read, Err(403), "{origin}");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        assert_eq!(judged(&method, &path, &[("host", HOST)]), Err(401), "{method}");
    }
}

#[test]
fn no_more_of_the_api_is_there_than_the_page_needs() {
    for (method, path) in [
        (Method::GET, "/v1/status"),
        (Method::GET, "/v1/events"),
        (Method::GET, "/v1/mirrors/a%2Fb/log"),
        (Method::POST, "/v1/mirrors/site/undo"),
    ] {
        assert!(may_ask(&method, path), "{method} {path}");
    }
    for (method, path) in [
        (Method::POST, "/v1/reload"),
        (Method::POST, "/v1/status"),
        (Method::GET, "/v1/mirrors/site/account"),
        (Method::GET, "/v1/mirrors/site/approve"),
        (Method::POST, "/v1/mirrors/site/overwrite"),
        (Method::POST, "/v1/mirrors/site/overwrite/a/approve"),
        (Method::DELETE, "/v1/mirrors/site/undo"),
        (Method::GET, "/etc/passwd"),
    ] {
        assert!(!may_ask(&method, path), "{method} {path}");
    }
}

/// The page asks nothing of any other place, and brings no script or style but in its files: the policy would refuse it.
#[test]
fn the_files_refer_to_nothing_else() {
    let files = [include_str!("index.html"), include_str!("app.js"), include_str!("style.css")];
    for text in files {
        let foreign = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://") && !foreign.contains("//cdn"));
    }
    let page = files[0];
    for inline in [" style=", " onclick=", "<style", "<script>", "innerHTML"] {
        assert!(!page.contains(inline) && !files[1].contains(inline), "{inline}");
    }
}
