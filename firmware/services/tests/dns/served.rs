//! The name servers of the double: they answer with whatever its zones hold at that moment, over UDP and TCP.

use super::double::Double;
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CAA, CNAME, NS, SRV, TXT},
    },
};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// Listens on loopback, for as long as the test runs.
pub(crate) async fn serve(double: &Double) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let zones = double.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        while let Ok((size, from)) = udp.recv_from(&mut buffer).await {
            if let Some(answer) = answer(&zones, &buffer[..size]) {
                let mut bytes = answer.to_vec().unwrap();
                if bytes.len() > 512 {
                    bytes = answer.truncate().to_vec().unwrap();
                }
                let _ = udp.send_to(&bytes, from).await;
            }
        }
    });
    let zones = double.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = tcp.accept().await {
            while let Ok(size) = socket.read_u16().await {
                let mut question = vec![0; usize::from(size)];
                socket.read_exact(&mut question).await.unwrap();
                let Some(answer) = answer(&zones, &question) else {
                    break;
                };
                let bytes = answer.to_vec().unwrap();
                socket.write_u16(bytes.len() as u16).await.unwrap();
                socket.write_all(&bytes).await.unwrap();
            }
        }
    });
    address
}

fn answer(double: &Double, bytes: &[u8]) -> Option<Message> {
    let question = Message::from_vec(bytes).ok()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let asked = query.name().to_lowercase().to_ascii();
    let asked = asked.trim_end_matches('.');
    let state = double.state();
    let Some((zone, records)) = state
        .zones
        .iter()
        .find(|(zone, _)| asked.ends_with(zone.as_str()))
    else {
        answer.metadata.response_code = ResponseCode::Refused;
        return Some(answer);
    };
    for record in records {
        let name = match record["name"].as_str()? {
            "@" => zone.clone(),
            name => format!("{name}.{zone}"),
        };
        let Some(data) = data(record).filter(|_| name == asked) else {
            continue;
        };
        let kind = data.record_type();
        if kind == query.query_type() || kind == RecordType::CNAME {
            let ttl = record["ttl"].as_u64()? as u32;
            answer.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
        }
    }
    Some(answer)
}

fn data(record: &Value) -> Option<RData> {
    let text = record["data"].as_str()?;
    let name = || Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).ok();
    let number = |key: &str| record[key].as_u64().map(|number| number as u16);
    Some(match record["type"].as_str()? {
        "A" => RData::A(A(text.parse().ok()?)),
        "AAAA" => RData::AAAA(AAAA(text.parse().ok()?)),
        "CNAME" => RData::CNAME(CNAME(name()?)),
        "NS" => RData::NS(NS(name()?)),
        "TXT" => RData::TXT(TXT::new(vec![text.to_owned()])),
        "SRV" => RData::SRV(SRV::new(
            number("priority")?,
            number("weight")?,
            number("port")?,
            name()?,
        )),
        "CAA" => {
            let mut caa = CAA::new_issue(false, None, Vec::new());
            record["tag"].as_str()?.clone_into(&mut caa.tag);
            caa.value = text.as_bytes().to_vec();
            RData::CAA(caa)
        }
        _ => return None,
    })
}
