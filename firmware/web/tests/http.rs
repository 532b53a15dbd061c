//! What programs and browsers get, over real sockets.

mod world;

use household::Level;
use world::{World, status};

#[tokio::test]
async fn what_is_where() {
    let world = World::new().await;
    let rows = [
        ("/", "", "HTTP/1.1 200", "localhost"),
        ("/healthz", "", "HTTP/1.1 200", "ok\n"),
        ("/metrics", "", "HTTP/1.1 200", "hearth_accounts 0\n"),
        (
            "/metrics",
            "X-Forwarded-For: 192.0.2.1\r\n",
            "HTTP/1.1 403",
            "machine",
        ),
        ("/metrics", "Via: 1.1 proxy\r\n", "HTTP/1.1 403", "machine"),
        (
            "/metrics",
            "Forwarded: for=192.0.2.1\r\n",
            "HTTP/1.1 403",
            "machine",
        ),
        ("/nothing", "", "HTTP/1.1 404", "nothing here"),
    ];
    for (path, headers, status, content) in rows {
        let answer = world.get(world.https, path, headers).await;
        assert!(answer.starts_with(status), "{path}: {answer}");
        assert!(answer.contains(content), "{path}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_failed_part_is_named() {
    let world = World::new().await;
    world.health.send_modify(|health| {
        health.set("store", Level::Fail, "the card is full");
        health.set("listeners", Level::Warn, "no http");
    });
    let answer = world.get(world.https, "/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("store: the card is full\n"), "{answer}");
    let proxied = "X-Real-IP: 192.0.2.1\r\n";
    let answer = world.get(world.https, "/healthz", proxied).await;
    assert!(answer.ends_with("\r\n\r\nstore\n"), "{answer}");
    world
        .health
        .send_modify(|health| health.set("store", Level::Warn, "nearly full"));
    assert!(
        world
            .get(world.https, "/healthz", "")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let world = World::new().await;
    let long = "a".repeat(web::limits::HEADERS_BYTES_MAX);
    let rows = [
        ("rubbish\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 400",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 400",
        ),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "HTTP/1.1 4"),
        (
            format!(
                "GET / HTTP/1.1\r\n{}\r\n",
                "x: y\r\n".repeat(web::limits::HEADERS_MAX + 1)
            ),
            "HTTP/1.1 431",
        ),
        (
            "POST /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "HTTP/1.1 405",
        ),
    ];
    for (request, status) in rows {
        let answer = world.ask(world.https, &request).await;
        assert!(
            answer.starts_with(status),
            "{}: {answer}",
            &request[..20.min(request.len())]
        );
    }
}

#[tokio::test]
async fn without_tls_there_is_the_way_to_https() {
    let world = World::new().await;
    let home = "https://home.example:8443";
    for (method, target, expected) in [
        ("GET", "/", Some(format!("{home}/"))),
        ("POST", "/a?b=c", Some(format!("{home}/a?b=c"))),
        ("PUT", "/upload/x", Some(format!("{home}/upload/x"))),
        ("GET", "http://evil.example/a", Some(format!("{home}/a"))),
        (
            "GET",
            "//evil.example/a",
            Some(format!("{home}//evil.example/a")),
        ),
        ("GET", "/healthz", None),
        ("GET", "/metrics", None),
        ("GET", "/.well-known/acme-challenge/x", None),
    ] {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = world.ask(world.http, &request).await;
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        assert_eq!(
            location.map(str::to_owned),
            expected,
            "{method} {target}: {answer}"
        );
        let redirected = status(&answer) == 308;
        assert_eq!(
            redirected,
            expected.is_some(),
            "{method} {target}: {answer}"
        );
        assert!(
            answer.contains("x-content-type-options: nosniff"),
            "{answer}"
        );
    }
    let answer = world.get(world.http, "/healthz", "").await;
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test]
async fn an_authority_finds_its_challenge_in_the_clear_and_nowhere_else() {
    let world = World::new().await;
    for (address, token, expected) in [
        (world.http, "known", 200),
        (world.http, "unknown", 404),
        (world.http, "known/", 308),
        (world.https, "known", 404),
    ] {
        let path = format!("/.well-known/acme-challenge/{token}");
        let answer = world.get(address, &path, "").await;
        assert_eq!(status(&answer), expected, "{token}: {answer}");
        assert_eq!(
            answer.ends_with("\r\n\r\nknown.proof"),
            expected == 200,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn browsers_are_kept_to_tls_where_they_believe_the_certificate() {
    let world = World::new().await;
    for (address, expected) in [
        (world.trusted, true),
        (world.https, false),
        (world.http, false),
    ] {
        for path in ["/healthz", "/", "/nothing"] {
            let answer = world.get(address, path, "").await;
            let kept = answer.contains("strict-transport-security: max-age=");
            assert_eq!(kept, expected, "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_handler_knows_who_asks_and_over_what() {
    let world = World::new().await;
    for (address, expected) in [
        (world.https, "127.0.0.1 Some(Http1) Some([7])"),
        (world.trusted, "127.0.0.1 Some(Http1) Some([7])"),
    ] {
        let answer = world.get(address, "/who", "").await;
        assert!(answer.ends_with(expected), "{answer}");
    }
}
