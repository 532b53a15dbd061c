//! `/metrics`: numbers for a monitoring program, as OpenMetrics text.

use household::{Health, Level, Numbers, Relayed};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use std::fmt;

/// The type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text, made anew for each who asks: nothing is counted here.
pub(crate) fn text(
    version: &'static str,
    health: &Health,
    numbers: Numbers,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("hearth");
    registry.register(
        "build",
        "What is running",
        Info::new([("version", version)]),
    );
    let rows = [
        ("accounts", "Accounts", numbers.accounts),
        (
            "sessions",
            "Bound resources, connected or waiting to resume",
            numbers.sessions,
        ),
        ("rooms", "Rooms", numbers.rooms),
        ("remotes", "Connections to other servers", numbers.remotes),
        (
            "relay_allocations",
            "Addresses that clients have at the relay for calls",
            numbers.relay.allocations,
        ),
    ];
    for (name, help, number) in rows {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    register_relayed(&mut registry, numbers.relay);
    let parts = Family::<Vec<(&str, String)>, Gauge>::default();
    for part in health.parts() {
        parts
            .get_or_create(&vec![("part", part.part.to_string())])
            .set(degree(part.level));
    }
    registry.register("health", "Each part: 0 ok, 1 warn, 2 fail", parts);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn register_relayed(registry: &mut Registry, relayed: Relayed) {
    let rows = [
        ("relay_packets", "Packets relayed", relayed.packets),
        ("relay_bytes", "Bytes in these packets", relayed.bytes),
    ];
    for (name, help, number) in rows {
        let counter = Counter::<u64>::default();
        counter.inc_by(number);
        registry.register(name, help, counter);
    }
    let dropped = Family::<Vec<(&str, &str)>, Counter>::default();
    for (reason, number) in relayed.dropped.reasons() {
        let labels = vec![("reason", reason)];
        dropped.get_or_create(&labels).inc_by(number);
    }
    registry.register("relay_dropped", "Packets that the relay dropped", dropped);
}

fn degree(level: Level) -> i64 {
    match level {
        Level::Ok => 0,
        Level::Warn => 1,
        Level::Fail => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use household::Dropped;

    fn example() -> String {
        let mut health = Health::default();
        health.set("store", Level::Warn, "nearly full");
        let numbers = Numbers {
            accounts: 3,
            sessions: 2,
            rooms: 0,
            remotes: 1,
            relay: Relayed {
                allocations: 2,
                packets: 100,
                bytes: 20_000,
                dropped: Dropped {
                    malformed: 7,
                    ..Dropped::default()
                },
            },
        };
        text("1.2.3", &health, numbers).expect("memory takes it")
    }

    #[test]
    fn open_metrics() {
        let text = example();
        let lines = text.split_inclusive('\n');
        let (mut dropped, described): (Vec<_>, Vec<_>) =
            lines.partition(|line| line.starts_with("hearth_relay_dropped_total"));
        let described = described.concat();
        expect![[r#"
            # HELP hearth_build What is running.
            # TYPE hearth_build info
            hearth_build_info{version="1.2.3"} 1
            # HELP hearth_accounts Accounts.
            # TYPE hearth_accounts gauge
            hearth_accounts 3
            # HELP hearth_sessions Bound resources, connected or waiting to resume.
            # TYPE hearth_sessions gauge
            hearth_sessions 2
            # HELP hearth_rooms Rooms.
            # TYPE hearth_rooms gauge
            hearth_rooms 0
            # HELP hearth_remotes Connections to other servers.
            # TYPE hearth_remotes gauge
            hearth_remotes 1
            # HELP hearth_relay_allocations Addresses that clients have at the relay for calls.
            # TYPE hearth_relay_allocations gauge
            hearth_relay_allocations 2
            # HELP hearth_relay_packets Packets relayed.
            # TYPE hearth_relay_packets counter
            hearth_relay_packets_total 100
            # HELP hearth_relay_bytes Bytes in these packets.
            # TYPE hearth_relay_bytes counter
            hearth_relay_bytes_total 20000
            # HELP hearth_relay_dropped Packets that the relay dropped.
            # TYPE hearth_relay_dropped counter
            # HELP hearth_health Each part: 0 ok, 1 warn, 2 fail.
            # TYPE hearth_health gauge
            hearth_health{part="store"} 1
            # EOF
        "#]]
        .assert_eq(&described);
        // In any order.
        dropped.sort_unstable();
        let expected = Dropped::default().reasons().map(|(reason, _)| {
            let count = if reason == "malformed" { 7 } else { 0 };
            format!("hearth_relay_dropped_total{{reason=\"{reason}\"}} {count}\n")
        });
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(dropped, expected);
    }
}
