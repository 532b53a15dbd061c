//! HTTP/2, and peers that use its freedoms against us.

mod world;

use axum::http::{Request, StatusCode};
use h2::{
    Reason,
    client::{Builder, SendRequest},
};
use tokio::{task::JoinHandle, time::Instant};
use web::limits::{FINISH_MAX, HEADERS_BYTES_MAX, HTTP2_STREAMS_MAX, IDLE_MAX};
use world::World;

type Client = SendRequest<&'static [u8]>;

/// A connection, and how it ends.
async fn connect(world: &World) -> (Client, JoinHandle<Result<(), h2::Error>>) {
    let socket = world.connect(world.http2).await;
    let (client, connection) = Builder::new().handshake(socket).await.expect("HTTP/2");
    (client, tokio::spawn(connection))
}

fn asking_for(path: &str) -> Request<()> {
    let builder = Request::builder().uri(format!("https://home.example{path}"));
    builder.body(()).expect("a request")
}

async fn get(client: &Client, path: &str) -> Result<(StatusCode, String), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (answer, _) = client.send_request(asking_for(path), true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut text = Vec::new();
    while let Some(bytes) = body.data().await {
        text.extend(bytes?);
    }
    Ok((head.status, String::from_utf8(text).expect("text")))
}

#[tokio::test]
async fn pages_come_over_http2_too() {
    let world = World::new().await;
    let (client, _ends) = connect(&world).await;
    let answer = get(&client, "/healthz").await.expect("an answer");
    assert_eq!(answer, (StatusCode::OK, "ok\n".to_owned()));
    let (status, page) = get(&client, "/").await.expect("an answer");
    assert!(
        status == StatusCode::OK && page.contains("<h1>localhost</h1>"),
        "{page}"
    );
    let (_, who) = get(&client, "/who").await.expect("an answer");
    assert_eq!(who, "127.0.0.1 Some(Http2) Some([7])");
    assert_eq!(
        client.current_max_send_streams(),
        HTTP2_STREAMS_MAX as usize
    );
}

#[tokio::test]
async fn headers_have_a_limit() {
    let world = World::new().await;
    let (client, _ends) = connect(&world).await;
    let mut request = asking_for("/healthz");
    for name in 0..HEADERS_BYTES_MAX / 1_000 {
        let name = format!("x-{name}").parse::<axum::http::HeaderName>();
        let value = "a".repeat(1_000).parse().expect("a value");
        request.headers_mut().insert(name.expect("a name"), value);
    }
    let mut client = client.ready().await.expect("open");
    let (answer, _) = client.send_request(request, true).expect("sent");
    let answer = answer.await.map(|answer| answer.status());
    let refused = matches!(
        answer,
        Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) | Err(_)
    );
    assert!(refused, "{answer:?}");
}

/// CVE-2023-44487.
#[tokio::test]
async fn who_takes_back_what_they_ask_for_again_and_again_is_cut_off() {
    let world = World::new().await;
    let (client, ends) = connect(&world).await;
    for _ in 0..10_000 {
        let Ok(mut client) = client.clone().ready().await else {
            break;
        };
        let Ok((_, mut stream)) = client.send_request(asking_for("/slow"), true) else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    let error = ends.await.expect("it ends").expect_err("it is cut off");
    // The reason may come too late for who is still talking.
    let is_told = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
    assert!(is_told || error.is_io(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_and_the_connection_ends() {
    let world = World::new().await;
    let (client, ends) = connect(&world).await;
    get(&client, "/healthz").await.expect("an answer");
    let begin = Instant::now();
    ends.await.expect("it ends").expect("in order");
    assert!(begin.elapsed() >= IDLE_MAX && begin.elapsed() < IDLE_MAX * 2);
    assert!(get(&client, "/healthz").await.is_err());
}

#[tokio::test]
async fn what_was_asked_is_answered_when_the_house_closes() {
    let world = World::new().await;
    let (client, ends) = connect(&world).await;
    let asking = client.clone();
    let asking = tokio::spawn(async move { get(&asking, "/slow").await });
    world.asked.notified().await;
    let begin = Instant::now();
    world.stop.send(true).expect("the site hears");
    // The word that nothing new is taken comes first; then what was begun is finished.
    while get(&client, "/healthz").await.is_ok() {}
    world.go_on.notify_one();
    let (status, text) = asking.await.expect("no panic").expect("an answer");
    assert_eq!((status, text.as_str()), (StatusCode::OK, "at last"));
    drop(client);
    ends.await.expect("it ends").expect("in order");
    assert!(begin.elapsed() < FINISH_MAX, "nobody had to be cut off");
}
