//! Who takes too long, and what is finished when the house closes. Time is the test's own.

mod world;

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use web::limits::{BODY_STALL_MAX, FINISH_MAX, HEADERS_WAIT_MAX};
use world::{World, rest, status};

const HEAD: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

/// Reads one answer whose last bytes are known.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut heard = String::new();
    let mut buffer = [0; 1_024];
    while !heard.ends_with(end) {
        let count = socket.read(&mut buffer).await.expect("open");
        assert!(count > 0, "closed after: {heard}");
        heard += std::str::from_utf8(&buffer[..count]).expect("text");
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_without_end() {
    let world = World::new().await;
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let begin = Instant::now();
        let mut socket = world.connect(world.https).await;
        socket.write_all(begun.as_bytes()).await.expect("open");
        let answer = rest(&mut socket).await;
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
        let waited = begin.elapsed();
        assert!(
            waited >= HEADERS_WAIT_MAX && waited < HEADERS_WAIT_MAX * 2,
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn between_two_requests_nobody_stays_for_long() {
    let world = World::new().await;
    let mut socket = world.connect(world.https).await;
    for _ in 0..2 {
        let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        socket.write_all(request).await.expect("open");
        read_until(&mut socket, "\r\n\r\nok\n").await;
    }
    let begin = Instant::now();
    assert_eq!(rest(&mut socket).await, "");
    let waited = begin.elapsed();
    assert!(
        waited >= HEADERS_WAIT_MAX && waited < HEADERS_WAIT_MAX * 2,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow_and_may_not_stand_still() {
    let world = World::new().await;
    let mut socket = world.connect(world.https).await;
    socket.write_all(HEAD.as_bytes()).await.expect("open");
    for byte in b"slow" {
        sleep(BODY_STALL_MAX.mul_f32(0.9)).await;
        socket.write_all(&[*byte]).await.expect("still open");
    }
    let answer = read_until(&mut socket, "slow").await;
    assert_eq!(status(&answer), 200);

    let mut socket = world.connect(world.https).await;
    socket.write_all(HEAD.as_bytes()).await.expect("open");
    socket.write_all(b"sl").await.expect("open");
    let begin = Instant::now();
    let answer = rest(&mut socket).await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(begin.elapsed() >= BODY_STALL_MAX && begin.elapsed() < BODY_STALL_MAX * 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_answered_when_the_house_closes() {
    let world = World::new().await;
    let mut asking = world.connect(world.https).await;
    let request = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    asking.write_all(request).await.expect("open");
    world.asked.notified().await;
    let mut silent = world.connect(world.https).await;
    let mut before = world.connect(world.https).await;
    let again = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    before.write_all(again).await.expect("open");
    read_until(&mut before, "\r\n\r\nok\n").await;

    let begin = Instant::now();
    world.stop.send(true).expect("the site hears");
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut before).await, "");
    assert_eq!(begin.elapsed(), Duration::ZERO, "nothing was asked there");
    world.go_on.notify_one();
    let answer = rest(&mut asking).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nat last"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn and_not_for_ever() {
    let world = World::new().await;
    let mut asking = world.connect(world.https).await;
    let request = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    asking.write_all(request).await.expect("open");
    world.asked.notified().await;
    let begin = Instant::now();
    world.stop.send(true).expect("the site hears");
    assert_eq!(rest(&mut asking).await, "");
    assert!(begin.elapsed() >= FINISH_MAX && begin.elapsed() < FINISH_MAX * 2);
}
