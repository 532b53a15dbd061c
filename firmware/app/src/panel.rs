//! LEDs, button, thermometer and watchdog of the machine, wired to the house.
//!
//! State: until when the claim window is open. What the button orders for the next start is left as files in
//! `DATA_DIR/orders`.

use crate::{house::House, limits::CLAIM_WINDOW};
use board::{
    button::Hold,
    clock,
    kernel::Kernel,
    led::Situation,
    limits::{ORDERS_MAX, THERMAL_MS},
    panel::Panel,
    simulated,
    thermal::{Reading, Thermal},
    watchdog::{self, Device},
};
use household::{Health, Level};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tracing::{error, info, warn};

/// The board at work.
pub(crate) struct Running {
    stop: watch::Sender<()>,
    work: JoinHandle<()>,
}

impl Running {
    /// Takes what the machine has.
    pub(crate) fn start(house: Arc<House>) -> Running {
        let (stop, stopped) = watch::channel(());
        let work = tokio::spawn(serve(house, stopped));
        Running { stop, work }
    }

    /// Gives LEDs and pins back and sends the watchdog to sleep.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let _ = self.work.await;
    }
}

async fn serve(house: Arc<House>, stopped: watch::Receiver<()>) {
    let config = house.server.config();
    let kernel = Kernel::at("/");
    let panel = Panel::open(&config.board, &kernel);
    for note in panel.notes() {
        info!("{note}");
    }
    let (show, shown) = watch::channel(situation(&house.health().borrow(), None));
    let (order, orders) = mpsc::channel(ORDERS_MAX);
    let until = stopped.clone();
    let told = async {
        tokio::select! {
            () = gone(until) => {}
            () = tell(&house, &show, orders) => {}
        }
        drop(show);
    };
    tokio::join!(
        panel.run(shown, address, order),
        told,
        clock::keep(feel(&house, &kernel, stopped.clone())),
        clock::keep(guard(&house, &kernel, config.board.watchdog, stopped)),
    );
}

async fn gone(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Tells the panel what is going on, and does what fingers order.
async fn tell(house: &House, show: &watch::Sender<Situation>, mut orders: mpsc::Receiver<Hold>) {
    let mut health = house.health();
    let mut claim = None;
    let mut said = Vec::new();
    loop {
        let situation = situation(&health.borrow_and_update(), claim);
        let mut line = Vec::new();
        let _ = simulated::show(&situation, &mut line);
        if line != said {
            info!("{}", String::from_utf8_lossy(&line).trim_end());
            said = line;
        }
        show.send_replace(situation);
        tokio::select! {
            change = health.changed() => if change.is_err() { return },
            Some(hold) = orders.recv() => {
                if carry_out(&house.server.config().data_dir, hold) && hold == Hold::ClaimWindow {
                    claim = Some(Instant::now() + CLAIM_WINDOW);
                }
            }
            () = over(claim) => claim = None,
        }
    }
}

async fn over(claim: Option<Instant>) {
    match claim {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The doors report when they are open, and not before.
fn situation(health: &Health, claim: Option<Instant>) -> Situation {
    let mut situation = Situation {
        health: health.clone(),
        ..Situation::default()
    };
    situation.moment.starting = health.parts().iter().all(|part| part.part != "listeners");
    situation.moment.claimable = claim.is_some();
    situation
}

/// Leaves the order where it is looked for; whether that was possible.
fn carry_out(data_dir: &Path, hold: Hold) -> bool {
    let name = match hold {
        Hold::ClaimWindow => "claim-window",
        Hold::AdminReset => "admin-reset",
        Hold::FactoryReset => "factory-reset",
        Hold::Address | Hold::Nothing => return false,
    };
    let orders = data_dir.join("orders");
    let left = fs::create_dir_all(&orders).and_then(|()| fs::write(orders.join(name), ""));
    match &left {
        Ok(()) => info!("the button ordered: {name}"),
        Err(error) => error!(%error, "the button ordered {name}, which cannot be kept"),
    }
    left.is_ok()
}

/// The address of this machine in its own network. Connecting a socket for datagrams sends nothing; it asks
/// the kernel which address it would send from.
fn address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// Reports temperature and voltage, where somebody measures them.
async fn feel(house: &House, kernel: &Kernel, stopped: watch::Receiver<()>) {
    let mut thermal = Thermal::default();
    let reading = async {
        loop {
            let words = thermal.note(Reading::of(kernel));
            if words.is_empty() {
                return;
            }
            for (part, level, text) in words {
                house.say(part, level, text);
            }
            sleep(Duration::from_millis(THERMAL_MS)).await;
        }
    };
    tokio::select! {
        () = gone(stopped) => {}
        () = reading => {}
    }
}

/// Feeds the watchdog while the house is well.
async fn guard(house: &House, kernel: &Kernel, wanted: bool, stopped: watch::Receiver<()>) {
    if !wanted {
        return;
    }
    match Device::open(kernel) {
        Ok(device) => {
            let check = || async { alive(&house.health().borrow()) };
            watchdog::keep(Box::new(device), check, gone(stopped)).await;
        }
        Err(error) => warn!("the watchdog cannot be used: {error}"),
    }
}

/// Whether store, doors and clock are such that a restart would do no good. A card that is full stays full.
fn alive(health: &Health) -> Result<(), String> {
    let bad = |part: &&household::Part| {
        part.level == Level::Fail
            && matches!(&*part.part, "store" | "listeners" | "clock")
            && !part.text.contains("full")
    };
    match health.parts().iter().find(bad) {
        None => Ok(()),
        Some(part) => Err(format!("{}: {}", part.part, part.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_for_what_it_can_mend() {
        for (part, level, text, is_alive) in [
            ("store", Level::Ok, "everything is kept", true),
            ("store", Level::Fail, "input/output error", false),
            ("store", Level::Fail, "the disk is full", true),
            ("listeners", Level::Fail, "address in use", false),
            ("listeners", Level::Warn, "no http", true),
            ("clock", Level::Warn, "not known yet", true),
            ("dns", Level::Fail, "refused", true),
        ] {
            let mut health = Health::default();
            health.set(part, level, text);
            assert_eq!(alive(&health).is_ok(), is_alive, "{part} {text}");
        }
    }

    #[test]
    fn orders_are_left_as_files() {
        let home = tempfile::tempdir().unwrap();
        assert!(carry_out(home.path(), Hold::FactoryReset));
        assert!(home.path().join("orders/factory-reset").exists());
        assert!(!carry_out(home.path(), Hold::Nothing));
    }
}
