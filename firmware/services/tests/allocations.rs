//! What a packet on its way through the relay takes from the heap: nothing, in either direction, by channel
//! or by indication. And what an allocation keeps while nobody talks.

mod client;

use client::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, net::SocketAddr};
use tokio::net::UdpSocket;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Packets of one count.
const PACKETS: usize = 1_000;
/// What the runtime takes now and then, whoever uses it, in one count.
const NOW_AND_THEN: usize = PACKETS / 100;
/// Allocations of one count.
const ALLOCATIONS: usize = 30;
/// Bytes that one may keep, sockets of the kernel aside.
const KEPT_MAX: usize = 6_000;

// One test: the counters are those of the whole process.
#[tokio::test]
async fn what_packets_and_allocations_take() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let door = SocketAddr::new([127, 0, 0, 1].into(), house.port);
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let place = peer.local_addr().expect("loopback");
    let mut juliet = Client::new(door).await;
    let relayed = juliet.allocate().await;
    assert_eq!(juliet.permit(place).await, None);
    let indication = Client::send_indication(place, &[7; 200]);
    pass(&juliet, &peer, relayed, &indication).await;
    let count = allocations(&juliet, &peer, relayed, &indication).await;
    assert!(count < NOW_AND_THEN, "by indications: {count}");
    assert_eq!(juliet.bind(place).await, None);
    let channel = in_channel(&[7; 200]);
    pass(&juliet, &peer, relayed, &channel).await;
    let count = allocations(&juliet, &peer, relayed, &channel).await;
    assert!(count < NOW_AND_THEN, "by channels: {count}");

    let mut clients = Vec::with_capacity(ALLOCATIONS);
    for _ in 0..ALLOCATIONS {
        clients.push(Client::new(door).await);
    }
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    for client in &mut clients {
        client.allocate().await;
        client.bind(place).await;
    }
    let change = region.change();
    // With the few bytes that a client here remembers.
    let kept = (change.bytes_allocated - change.bytes_deallocated) / ALLOCATIONS;
    assert!(kept < KEPT_MAX, "{kept} bytes for an allocation");
}

/// There and back.
async fn pass(juliet: &Client, peer: &UdpSocket, relayed: SocketAddr, packet: &[u8]) {
    let mut buffer = [0; 500];
    juliet.socket.send(packet).await.expect("loopback");
    let (length, _) = peer.recv_from(&mut buffer).await.expect("loopback");
    assert_eq!(length, 200);
    peer.send_to(&buffer[..length], relayed)
        .await
        .expect("loopback");
    let length = juliet.socket.recv(&mut buffer).await.expect("loopback");
    assert!(length > 200);
}

async fn allocations(
    juliet: &Client,
    peer: &UdpSocket,
    relayed: SocketAddr,
    packet: &[u8],
) -> usize {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    for _ in 0..PACKETS {
        pass(juliet, peer, relayed, packet).await;
    }
    let change = region.change();
    change.allocations + change.reallocations
}
