//! Files over real sockets, from the slot to the last byte (XEP-0363).

mod house;

use house::{House, JPEG, Slot, answer, eventually};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

#[tokio::test]
async fn a_file_comes_and_goes() {
    let house = House::new("").await;
    let slot = house.slot("très cool.jpg", 300_000, JPEG).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(
        house
            .get(&slot.get, "")
            .await
            .head
            .starts_with("HTTP/1.1 404"),
        "not before"
    );
    let put = house.put(&slot.put, JPEG, &bytes).await;
    assert!(put.head.starts_with("HTTP/1.1 201"), "{}", put.head);
    let got = house.get(&slot.get, "").await;
    assert!(got.body == bytes, "{}", got.head);
    let headers = [
        "HTTP/1.1 200",
        "content-length: 300000\r\n",
        "content-type: image/jpeg\r\n",
        "content-disposition: inline; filename=\"tr_s cool.jpg\"; filename*=UTF-8''tr%C3%A8s%20cool.jpg\r\n",
        "accept-ranges: bytes\r\n",
        "cache-control: private, max-age=2592000, immutable\r\n",
        "x-content-type-options: nosniff\r\n",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox\r\n",
        "cross-origin-resource-policy: cross-origin\r\n",
        "referrer-policy: no-referrer\r\n",
        "access-control-allow-origin: *\r\n",
    ];
    for header in headers {
        assert!(got.head.contains(header), "{header}: {}", got.head);
    }
    let again = house.put(&slot.put, JPEG, &bytes).await;
    assert!(again.head.starts_with("HTTP/1.1 409"), "{}", again.head);
    assert_eq!(house.files().len(), 1, "{:?}", house.files());
}

#[tokio::test]
async fn a_file_is_given_in_part_and_not_twice() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 300_000, JPEG).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    house.put(&slot.put, JPEG, &bytes).await;
    let tag = house
        .get(&slot.get, "")
        .await
        .header("etag")
        .expect("a tag");
    let rows: [(String, &str, &[u8]); 9] = [
        ("Range: bytes=0-3\r\n".into(), "206", &bytes[..4]),
        ("Range: bytes=299990-\r\n".into(), "206", &bytes[299_990..]),
        ("Range: bytes=-10\r\n".into(), "206", &bytes[299_990..]),
        (
            format!("Range: bytes=0-3\r\nIf-Range: {tag}\r\n"),
            "206",
            &bytes[..4],
        ),
        (
            "Range: bytes=0-3\r\nIf-Range: \"x\"\r\n".into(),
            "200",
            &bytes,
        ),
        ("Range: lines=0-3\r\n".into(), "200", &bytes),
        (format!("If-None-Match: {tag}\r\n"), "304", b""),
        (format!("If-None-Match: \"x\", W/{tag}\r\n"), "304", b""),
        ("If-None-Match: \"x\"\r\n".into(), "200", &bytes),
    ];
    for (headers, status, expected) in rows {
        let got = house.get(&slot.get, &headers).await;
        assert!(
            got.head.starts_with(&format!("HTTP/1.1 {status}")),
            "{headers}: {}",
            got.head
        );
        assert!(got.body == expected, "{headers}: {} bytes", got.body.len());
        assert_eq!(got.header("etag").as_ref(), Some(&tag), "{headers}");
    }
    let part = house.get(&slot.get, "Range: bytes=1-3\r\n").await;
    assert_eq!(
        part.header("content-range").as_deref(),
        Some("bytes 1-3/300000")
    );
    let none = house.get(&slot.get, "Range: bytes=300000-\r\n").await;
    assert!(none.head.starts_with("HTTP/1.1 416"), "{}", none.head);
    assert_eq!(
        none.header("content-range").as_deref(),
        Some("bytes */300000")
    );
    let head = house
        .request("HEAD", &slot.get, "Range: bytes=0-3\r\n", b"")
        .await;
    assert!(
        head.head.starts_with("HTTP/1.1 200") && head.body.is_empty(),
        "{}",
        head.head
    );
    assert_eq!(head.header("content-length").as_deref(), Some("300000"));
}

/// Method, target, type and body; status, and what the sentence says. `-` is nothing.
const REFUSED: &str = "\
PUT     {get}               image/jpeg abcd  403 new slot
PUT     {get}?{other}       image/jpeg abcd  403 new slot
PUT     {get}?token=        image/jpeg abcd  403 new slot
PUT     {put}x              image/jpeg abcd  403 new slot
PUT     {put}               image/jpeg abcde 413 4 bytes
PUT     {put}               image/jpeg abc   400 4 bytes
PUT     {put}               -          abcd  415 another type
PUT     {put}               text/html  abcd  415 another type
PUT     /upload             image/jpeg abcd  404 no such file
PUT     /upload/../x?{own}  image/jpeg abcd  404 no such file
PUT     {folder}/b.jpg?{own} image/jpeg abcd 403 new slot
PUT     {folder}/%ff?{own}  image/jpeg abcd  400 UTF-8
POST    {put}               image/jpeg abcd  405 PUT
DELETE  {get}               -          -     405 PUT
GET     {get}               -          -     404 no such file
GET     /upload/            -          -     404 no such file
GET     {folder}/%ff        -          -     400 UTF-8
GET     {folder}/../a.jpg   -          -     404 no such file
GET     /upload/..%2f..%2fetc/passwd - -     404 no such file
OPTIONS {put}               -          -     204 -
OPTIONS /upload/x           -          -     204 -
";

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 4, JPEG).await;
    let other = house.slot("b.jpg", 4, JPEG).await;
    let query = |slot: &Slot| slot.put.split_once('?').expect("a token").1.to_owned();
    let folder = slot.get.strip_suffix("/a.jpg").expect("its name");
    for row in REFUSED.lines() {
        let filled = row
            .replace("{put}", &slot.put)
            .replace("{get}", &slot.get)
            .replace("{folder}", folder)
            .replace("{own}", &query(&slot))
            .replace("{other}", &query(&other));
        let some = |field| if field == "-" { "" } else { field };
        let mut fields = filled.split_whitespace().map(some);
        let mut field = || fields.next().unwrap_or_default();
        let (method, target, media_type, body) = (field(), field(), field(), field());
        let status = field();
        let sentence = row
            .split_once(status)
            .map_or("", |(_, rest)| some(rest.trim()));
        let headers = match media_type {
            "" => String::new(),
            media_type => format!("Content-Type: {media_type}\r\n"),
        };
        let got = house
            .request(method, target, &headers, body.as_bytes())
            .await;
        assert!(
            got.head.starts_with(&format!("HTTP/1.1 {status}")),
            "{row}: {}",
            got.head
        );
        assert!(got.text().contains(sentence), "{row}: {}", got.text());
        for header in [
            "access-control-allow-origin: *",
            "access-control-allow-methods: GET, HEAD, PUT, OPTIONS",
            "access-control-allow-headers: Authorization, Content-Type",
        ] {
            assert!(got.head.contains(header), "{row}: {}", got.head);
        }
    }
    assert!(house.files().is_empty(), "{:?}", house.files());
    let right = house.put(&slot.put, JPEG, b"abcd").await;
    assert!(
        right.head.starts_with("HTTP/1.1 201"),
        "after all that: {}",
        right.head
    );
}

#[tokio::test]
async fn a_file_without_a_length_is_refused() {
    let house = House::new("").await;
    let Slot { put, .. } = house.slot("a.jpg", 4, JPEG).await;
    let chunked = format!(
        "PUT {put} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: {JPEG}\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    );
    let got = house.ask(&chunked).await;
    assert!(got.head.starts_with("HTTP/1.1 411"), "{}", got.head);
}

#[tokio::test]
async fn who_sends_much_hears_why_it_is_refused() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 4, JPEG).await;
    let got = house.put(&slot.put, JPEG, &vec![0; 4_000_000]).await;
    assert!(got.head.starts_with("HTTP/1.1 413"), "{}", got.head);
}

#[tokio::test]
async fn an_uploaded_page_does_nothing() {
    let house = House::new("").await;
    for (name, media_type) in [
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a", ""),
    ] {
        let slot = house.slot(name, 4, media_type).await;
        let put = house.put(&slot.put, media_type, b"<p/>").await;
        assert!(put.head.starts_with("HTTP/1.1 201"), "{}", put.head);
        let got = house.get(&slot.get, "").await;
        let disposition = got.header("content-disposition").expect("one");
        assert!(disposition.starts_with("attachment; "), "{disposition}");
    }
}

#[tokio::test]
async fn who_stops_half_way_leaves_nothing() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 2_000_000, JPEG).await;
    let mut line = house.line().await;
    line.write_all(House::head("PUT", &slot.put, JPEG, 2_000_000).as_bytes())
        .await
        .expect("open");
    line.write_all(&vec![7; 1_000_000]).await.expect("open");
    eventually(|| !house.files().is_empty()).await;
    drop(line);
    eventually(|| house.files().is_empty()).await;
    // The slot has not ended: the whole file may come.
    let whole = house.put(&slot.put, JPEG, &vec![7; 2_000_000]).await;
    assert!(whole.head.starts_with("HTTP/1.1 201"), "{}", whole.head);
    assert_eq!(house.get(&slot.get, "").await.body.len(), 2_000_000);
}

/// A phone that changed its network comes again before its old line is known to be dead.
#[tokio::test]
async fn the_newer_of_two_requests_for_a_file_goes_on() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 2_000_000, JPEG).await;
    let mut line = house.line().await;
    line.write_all(House::head("PUT", &slot.put, JPEG, 2_000_000).as_bytes())
        .await
        .expect("open");
    line.write_all(&vec![7; 1_000_000]).await.expect("open");
    eventually(|| !house.files().is_empty()).await;
    let newer = house.put(&slot.put, JPEG, &vec![8; 2_000_000]).await;
    assert!(newer.head.starts_with("HTTP/1.1 201"), "{}", newer.head);
    let older = answer(&mut line).await;
    assert!(older.head.starts_with("HTTP/1.1 409"), "{}", older.head);
    assert!(older.text().contains("newer"), "{}", older.text());
    assert!(house.get(&slot.get, "").await.body == vec![8; 2_000_000]);
    assert_eq!(house.files().len(), 1, "{:?}", house.files());
}

/// RFC 9110 §13.2, §14.5.
#[tokio::test]
async fn conditions_are_kept_to() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 4, JPEG).await;
    let typed = format!("Content-Type: {JPEG}\r\n");
    for (headers, status) in [
        ("Content-Range: bytes 0-3/4\r\n", "400"),
        ("If-Match: *\r\n", "412"),
        ("If-Match: \"x\"\r\n", "412"),
        ("If-None-Match: *\r\n", "201"),
        ("If-None-Match: *\r\n", "409"),
    ] {
        let headers = format!("{typed}{headers}");
        let put = house.request("PUT", &slot.put, &headers, b"abcd").await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(put.head.starts_with(&expected), "{headers}: {}", put.head);
    }
    let got = house.get(&slot.get, "").await;
    let tag = got.header("etag").expect("a tag");
    for (headers, status) in [
        (format!("If-Match: {tag}\r\n"), "200"),
        ("If-Match: *\r\n".into(), "200"),
        (format!("If-Match: \"x\"\r\nIf-Match: {tag}\r\n"), "200"),
        (format!("If-Match: W/{tag}\r\n"), "412"),
        (
            format!("If-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"),
            "412",
        ),
        (
            format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"),
            "304",
        ),
        ("Range: bytes=0-1\r\nIf-Range: \"\u{e4}\"\r\n".into(), "200"),
        (format!("Range: bytes=0-1\r\nIf-Range: W/{tag}\r\n"), "200"),
    ] {
        let got = house.get(&slot.get, &headers).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(got.head.starts_with(&expected), "{headers}: {}", got.head);
    }
}

/// As the compliance testers ask (FEATURES §1.4, `xep0363_cors`).
#[tokio::test]
async fn a_page_from_elsewhere_may_upload() {
    let house = House::new("").await;
    let slot = house.slot("hello.png", 1_234, "image/png").await;
    let origin = "Origin: https://chat.example\r\n";
    let asks = format!(
        "{origin}Access-Control-Request-Method: PUT\r\n\
         Access-Control-Request-Headers: content-type\r\n"
    );
    let may = house.request("OPTIONS", &slot.put, &asks, b"").await;
    assert!(may.head.starts_with("HTTP/1.1 20"), "{}", may.head);
    let bytes = vec![9; 1_234];
    let typed = format!("{origin}Content-Type: image/png\r\n");
    let put = house.request("PUT", &slot.put, &typed, &bytes).await;
    assert!(put.head.starts_with("HTTP/1.1 201"), "{}", put.head);
    let got = house.get(&slot.get, origin).await;
    assert!(got.body == bytes, "{}", got.head);
    for answer in [may, put, got] {
        for (header, words) in [
            ("access-control-allow-origin", &["*"][..]),
            (
                "access-control-allow-methods",
                &["OPTIONS", "HEAD", "GET", "PUT"],
            ),
            (
                "access-control-allow-headers",
                &["Authorization", "Content-Type"],
            ),
        ] {
            let said = answer.header(header).unwrap_or_default();
            assert!(
                words.iter().all(|word| said.contains(word)),
                "{header}: {said}"
            );
        }
    }
}

/// Whoever is half way through a file when it goes keeps it no longer than that.
#[tokio::test]
async fn a_file_is_cached_as_long_as_it_is_there() {
    let house = House::new("[upload]\nexpire_after = '1d'\nkeep_free = '0GB'\n").await;
    let slot = house.slot("a.jpg", 4, JPEG).await;
    house.put(&slot.put, JPEG, b"abcd").await;
    house.pass(Duration::from_hours(23));
    let tag = house
        .get(&slot.get, "")
        .await
        .header("etag")
        .expect("a tag");
    for headers in [String::new(), format!("If-None-Match: {tag}\r\n")] {
        let got = house.get(&slot.get, &headers).await;
        let cache = got.header("cache-control");
        assert_eq!(cache.as_deref(), Some("private, max-age=3600, immutable"));
    }
}

/// What a failing card does to one file.
#[tokio::test]
async fn a_file_that_cannot_be_removed_holds_up_no_other() {
    let house = House::new("[upload]\nexpire_after = '1d'\nkeep_free = '0GB'\n").await;
    for _ in 0..3 {
        let slot = house.slot("a.jpg", 4, JPEG).await;
        let put = house.put(&slot.put, JPEG, b"abcd").await;
        assert!(put.head.starts_with("HTTP/1.1 201"), "{}", put.head);
    }
    let files = house.files();
    assert_eq!(files.len(), 3);
    // The first that is looked at.
    House::wedge(&files[0]);
    house.pass(Duration::from_hours(24));
    house.keep();
    eventually(|| house.files().is_empty()).await;
}

/// On the whole it would have come in time, but nobody knows that while it comes.
#[tokio::test(start_paused = true)]
async fn who_sends_drop_by_drop_is_not_waited_for() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 90_000_000, JPEG).await;
    let mut line = house.line().await;
    line.write_all(House::head("PUT", &slot.put, JPEG, 90_000_000).as_bytes())
        .await
        .expect("open");
    let begin = Instant::now();
    let (mut reading, mut writing) = line.split();
    let drops = async {
        loop {
            let _ = writing.write_all(b"a").await; // or it was given up
            sleep(Duration::from_secs(20)).await;
        }
    };
    let mut heard = vec![0; 12];
    tokio::select! {
        _ = reading.read_exact(&mut heard) => {}
        () = drops => {}
    }
    assert_eq!(heard, b"HTTP/1.1 408");
    assert!(
        begin.elapsed() < Duration::from_secs(90),
        "{:?}",
        begin.elapsed()
    );
}

/// Time stands still but where somebody waits for it.
#[tokio::test(start_paused = true)]
async fn who_stands_still_is_not_waited_for() {
    let house = House::new("").await;
    let slot = house.slot("a.jpg", 2_000_000, JPEG).await;
    let mut line = house.line().await;
    line.write_all(House::head("PUT", &slot.put, JPEG, 2_000_000).as_bytes())
        .await
        .expect("open");
    line.write_all(b"a").await.expect("open");
    let got = answer(&mut line).await;
    assert!(got.head.starts_with("HTTP/1.1 408"), "{}", got.head);
    eventually(|| house.files().is_empty()).await;
}

#[tokio::test]
async fn a_full_card_takes_nothing() {
    let house = House::new("[upload]\nkeep_free = '1000000GB'\n").await;
    let slot = house.slot("a.jpg", 4, JPEG).await;
    let got = house.put(&slot.put, JPEG, b"abcd").await;
    assert!(got.head.starts_with("HTTP/1.1 507"), "{}", got.head);
    assert!(got.text().contains("no room"), "{}", got.text());
    assert!(house.files().is_empty(), "{:?}", house.files());
}

#[tokio::test]
async fn what_is_over_is_removed() {
    let house = House::new("[upload]\nexpire_after = '1d'\n").await;
    let old = house.slot("old.jpg", 4, JPEG).await;
    house.put(&old.put, JPEG, b"abcd").await;
    house.pass(Duration::from_hours(20));
    let new = house.slot("new.jpg", 4, JPEG).await;
    house.put(&new.put, JPEG, b"efgh").await;
    let late = house.slot("late.jpg", 4, JPEG).await;
    house.pass(Duration::from_hours(4));
    // A slot ends long before.
    let got = house.put(&late.put, JPEG, b"abcd").await;
    assert!(
        got.head.starts_with("HTTP/1.1 403") && got.text().contains("ended"),
        "{}",
        got.head
    );
    assert!(
        house
            .get(&old.get, "")
            .await
            .head
            .starts_with("HTTP/1.1 404")
    );
    // What power cuts leave: a part, a file without a row, and what was never ours.
    let (id, folder) = ("00112233445566778899aabbccddeeff", "uploads/00");
    house.write(&format!("{folder}/{id}"), b"stray");
    house.write(
        &format!("{folder}/{}.part", id.replace("ff", "ee")),
        b"stray",
    );
    house.write(&format!("{folder}/notes.txt"), b"whose?");
    assert_eq!(house.files().len(), 5);
    house.keep();
    eventually(|| house.files().len() == 2).await;
    assert!(house.files().iter().any(|file| file.ends_with("notes.txt")));
    assert_eq!(house.get(&new.get, "").await.text(), "efgh");
}
