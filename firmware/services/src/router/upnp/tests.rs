//! A gateway of the test's own, on this machine: an honest one, one with a will of its own, and liars.

use super::{super::port::Protocol, *};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const DESCRIPTION: &str = "<root xmlns='urn:schemas-upnp-org:device-1-0'><device><serviceList><service>\
    <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
    <controlURL>/ctl</controlURL></service></serviceList></device></root>";

/// Answers each request with what `answer` makes of it, and remembers the requests.
async fn serve(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (Place, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("IPv4 was asked for");
    };
    let place = Place::of(&format!("http://{address}/desc.xml"), HERE).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (hearing, answer) = (heard.clone(), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let request = request(&mut socket).await;
            hearing.lock().unwrap().push(request.clone());
            let answer = answer.clone();
            // Nobody has to read all of it.
            tokio::spawn(async move { socket.write_all(answer(&request).as_bytes()).await });
        }
    });
    (place, heard)
}

/// Head and body of what was asked.
async fn request(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while let Ok(length) = socket.read(&mut buffer).await {
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        let is_whole = text.starts_with("GET ") && text.contains("\r\n\r\n");
        if length == 0 || is_whole || text.contains("</s:Envelope>") {
            break;
        }
    }
    text
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: text/xml\r\n\r\n{body}")
}

fn error(number: u32) -> String {
    let body = format!(
        "<s:Envelope xmlns:s='e'><s:Body><s:Fault><detail><UPnPError xmlns='u'><errorCode>{number}\
         </errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
    );
    answer("500 Internal Server Error", &body)
}

fn done(texts: &str) -> String {
    answer("200 OK", &format!("<e><b><r>{texts}</r></b></e>"))
}

fn port() -> Port {
    Port {
        name: "https",
        protocol: Protocol::Tcp,
        inside: 8_443,
        outside: 443,
        is_needed: true,
    }
}

async fn gateway(place: &Place) -> Option<Gateway> {
    Some(Gateway {
        service: service_at(place, &CONNECTIONS).await?,
        own: Ipv4Addr::new(192, 168, 1, 7),
        only_permanent: false,
    })
}

#[tokio::test]
async fn a_port_is_opened_with_a_lease() {
    let (place, heard) = serve(|request| match request {
        _ if request.starts_with("GET ") => answer("200 OK", DESCRIPTION),
        _ if request.contains("#GetExternalIPAddress") => {
            done("<NewExternalIPAddress>9.9.9.9</NewExternalIPAddress>")
        }
        _ => done(""),
    })
    .await;
    let mut gateway = gateway(&place).await.unwrap();
    assert_eq!(gateway.external().await, Ok(Ipv4Addr::new(9, 9, 9, 9)));
    assert_eq!(
        gateway.map(&port(), 3_600).await,
        Ok(Lease { seconds: 3_600 })
    );
    let heard = heard.lock().unwrap().last().cloned().unwrap();
    for part in [
        "POST /ctl HTTP/1.1\r\n",
        "soapaction: \"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\"\r\n",
        "<NewExternalPort>443</NewExternalPort><NewProtocol>TCP</NewProtocol>\
         <NewInternalPort>8443</NewInternalPort><NewInternalClient>192.168.1.7</NewInternalClient>",
        "<NewLeaseDuration>3600</NewLeaseDuration>",
    ] {
        assert!(heard.contains(part), "{part} in {heard}");
    }
}

#[tokio::test]
async fn what_a_gateway_refuses_is_told_apart() {
    const OURS: &str = "<NewInternalClient>192.168.1.7</NewInternalClient>";
    const THEIRS: &str = "<NewInternalClient>192.168.1.9</NewInternalClient>";
    let taken = |who: &str| Err(Refusal::Taken(Some(who.to_owned())));
    for (number, holder, expected) in [
        (718, done(THEIRS), taken("192.168.1.9")),
        (718, done(OURS), Ok(Lease { seconds: 3_600 })),
        (718, error(714), Err(Refusal::Taken(None))),
        (
            718,
            done("<NewInternalClient>&#60;b&#62;</NewInternalClient>"),
            Err(Refusal::Taken(None)),
        ),
        (606, error(714), Err(Refusal::Forbidden)),
        (728, error(714), Err(Refusal::Full)),
        (501, error(714), Err(Refusal::Other(501))),
    ] {
        let (place, _) = serve(move |request| match request {
            _ if request.starts_with("GET ") => answer("200 OK", DESCRIPTION),
            _ if request.contains("#GetSpecificPortMappingEntry") => holder.clone(),
            _ => error(number),
        })
        .await;
        let mut gateway = gateway(&place).await.unwrap();
        assert_eq!(gateway.map(&port(), 3_600).await, expected, "{number}");
    }
}

#[tokio::test]
async fn a_gateway_that_knows_no_leases_opens_for_ever() {
    for number in [725, 402] {
        let (place, heard) = serve(move |request| match request {
            _ if request.starts_with("GET ") => answer("200 OK", DESCRIPTION),
            _ if request.contains("Duration>0<") => done(""),
            _ => error(number),
        })
        .await;
        let mut gateway = gateway(&place).await.unwrap();
        for _ in 0..2 {
            assert_eq!(gateway.map(&port(), 3_600).await, Ok(Lease { seconds: 0 }));
        }
        // A description, a lease, and twice without.
        assert_eq!(heard.lock().unwrap().len(), 4);
    }
}

#[tokio::test]
async fn another_ones_port_is_not_closed() {
    let (place, heard) = serve(|request| match request {
        _ if request.starts_with("GET ") => answer("200 OK", DESCRIPTION),
        _ => done("<NewInternalClient>192.168.1.9</NewInternalClient>"),
    })
    .await;
    let gateway = gateway(&place).await.unwrap();
    assert_eq!(gateway.unmap(&port()).await, Ok(()));
    let heard = heard.lock().unwrap();
    assert!(
        !heard
            .iter()
            .any(|request| request.contains("#DeletePortMapping"))
    );
}

#[tokio::test]
async fn liars_get_nowhere() {
    let elsewhere = DESCRIPTION.replace("/ctl", "http://192.168.1.2:80/ctl");
    let other_port = DESCRIPTION.replace("/ctl", "http://127.0.0.1:22/ctl");
    let long = answer(
        "200 OK",
        &DESCRIPTION.replace("<root", &format!("{}<root", " ".repeat(200_000))),
    );
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:22/\r\nContent-Length: 0\r\n\r\n";
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "<a>".repeat(1_000_000));
    let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(1_000_000));
    for lie in [
        answer("200 OK", &elsewhere),
        answer("200 OK", &other_port),
        long,
        redirect.to_owned(),
        endless,
        head,
        answer("404 Not Found", DESCRIPTION),
        answer("200 OK", "<html>"),
        "\u{0}\u{1}\u{2}".to_owned(),
        String::new(),
    ] {
        let shown = lie.chars().take(80).collect::<String>();
        let (place, _) = serve(move |_| lie.clone()).await;
        assert!(gateway(&place).await.is_none(), "{shown}");
    }
}
