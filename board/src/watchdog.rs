//! The hardware watchdog: fed while the server proves that it lives, so that one that hangs is started again.
//!
//! State: since when a check has failed. The device is armed from opening to [`Dog::close`]; a server that
//! ends in any other way leaves it armed, and the board starts again.

use crate::{
    kernel::{self, Kernel},
    limits::{CHECK_MS_MAX, FAILING_MS_MAX, FEED_MS},
};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Write},
    path::PathBuf,
};
use tracing::{error, info, warn};

/// A watchdog.
pub trait Dog: Send {
    /// Keeps it quiet for another while.
    fn feed(&mut self) -> io::Result<()>;

    /// Sends it to sleep: the server stops in order.
    fn close(self: Box<Self>) -> io::Result<()>;
}

/// `/dev/watchdog`.
#[derive(Debug)]
pub struct Device {
    file: File,
    /// Its own word on whether it can be stopped.
    nowayout: PathBuf,
}

impl Device {
    /// Arms it. Its time is the driver's own: bcm2835 bites after 15 s unless it was told less.
    ///
    /// # Errors
    /// Where there is none, where somebody has it (systemd's `RuntimeWatchdogSec`), or where its time is
    /// too short.
    pub fn open(kernel: &Kernel) -> io::Result<Device> {
        let class = kernel.path("sys/class/watchdog/watchdog0");
        let seconds: u64 = kernel::read(&class.join("timeout"))
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(FEED_MS * 3 / 1_000);
        if seconds * 1_000 < 2 * FEED_MS {
            let text = format!("it bites after {seconds} s, which is too short");
            return Err(io::Error::other(text));
        }
        let file = OpenOptions::new()
            .write(true)
            .open(kernel.path("dev/watchdog"))?;
        let nowayout = class.join("nowayout");
        Ok(Device { file, nowayout })
    }
}

impl Dog for Device {
    fn feed(&mut self) -> io::Result<()> {
        self.file.write_all(b"\0")
    }

    fn close(mut self: Box<Self>) -> io::Result<()> {
        // The one byte that disarms it when the device is closed after it.
        self.file.write_all(b"V")?;
        if kernel::read(&self.nowayout).is_ok_and(|text| text == "1") {
            info!("the watchdog cannot be stopped: the board starts again in some seconds");
        }
        Ok(())
    }
}

/// Feeds it until `stop` is done; `check` says what does not work, and what takes too long does not work
/// either.
pub async fn keep<C: Future<Output = Result<(), String>>>(
    mut dog: Box<dyn Dog>,
    mut check: impl FnMut() -> C,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut failing: Option<Instant> = None;
    loop {
        let round = async {
            let found = with_timeout(Duration::from_millis(CHECK_MS_MAX), check()).await;
            let found = found.unwrap_or_else(|_| Err("a check does not end".to_owned()));
            feed(&mut *dog, found, &mut failing);
            Timer::after_millis(FEED_MS).await;
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = round => {}
        }
    }
    if let Err(error) = dog.close() {
        warn!(%error, "the watchdog cannot be stopped");
    }
}

/// Feeds it unless the server has been in trouble for too long, which is said once.
fn feed(dog: &mut dyn Dog, found: Result<(), String>, failing: &mut Option<Instant>) {
    let now = Instant::now();
    match found {
        Ok(()) => *failing = None,
        Err(why) => {
            let since = *failing.get_or_insert_with(|| {
                warn!("the watchdog waits for what does not work: {why}");
                now
            });
            if now.duration_since(since).as_millis() >= FAILING_MS_MAX {
                error!("the watchdog is not fed any more, the board starts again: {why}");
                return;
            }
        }
    }
    if let Err(error) = dog.feed() {
        warn!(%error, "the watchdog cannot be fed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::{
        cell::Cell,
        fs,
        sync::{Arc, Mutex},
    };

    /// Notes the seconds at which it was fed, and when it was closed.
    #[derive(Clone)]
    struct Noted(Instant, Arc<Mutex<Vec<String>>>);

    impl Noted {
        fn note(&self, what: &str) {
            let seconds = (self.0.elapsed().as_millis() + 500) / 1_000;
            self.1.lock().unwrap().push(format!("{what}{seconds}"));
        }
    }

    impl Dog for Noted {
        fn feed(&mut self) -> io::Result<()> {
            self.note("");
            Ok(())
        }

        fn close(self: Box<Self>) -> io::Result<()> {
            self.note("closed ");
            Ok(())
        }
    }

    /// The check's answers by the second at which they begin; what the dog noted in that many seconds.
    async fn fed(answers: &[(u64, &str)], seconds: u64) -> String {
        let noted = Noted(Instant::now(), Arc::default());
        let start = noted.0;
        let check = || {
            let now = start.elapsed().as_secs();
            let answer = answers
                .iter()
                .rev()
                .find(|(from, _)| *from <= now)
                .map_or("", |it| it.1);
            async move {
                match answer {
                    "" => Ok(()),
                    "hangs" => std::future::pending().await,
                    why => Err(why.to_owned()),
                }
            }
        };
        let stop = Timer::after_millis(seconds * 1_000 + 700);
        clock::keep(async { keep(Box::new(noted.clone()), check, stop).await }).await;
        noted.1.lock().unwrap().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_fed_while_the_server_lives_and_sent_to_sleep_at_the_end() {
        assert_eq!(fed(&[], 20).await, "0 5 10 15 20 closed 21");
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_of_a_minute_starves_it_and_shorter_one_does_not() {
        let short = fed(&[(8, "store"), (48, "")], 80).await;
        assert_eq!(
            short,
            "0 5 10 15 20 25 30 35 40 45 50 55 60 65 70 75 80 closed 81"
        );
        let long = fed(&[(8, "store")], 100).await;
        assert_eq!(long, "0 5 10 15 20 25 30 35 40 45 50 55 60 65 closed 101");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_one_that_fails() {
        let text = fed(&[(4, "hangs")], 120).await;
        // Each round takes 4 s longer, within the 15 s of the device.
        assert_eq!(text, "0 9 18 27 36 45 54 63 closed 121");
    }

    #[tokio::test(start_paused = true)]
    async fn the_device_is_armed_fed_and_disarmed() {
        let root = tempfile::tempdir().unwrap();
        let kernel = Kernel::at(root.path());
        assert!(Device::open(&kernel).is_err());
        fs::create_dir(root.path().join("dev")).unwrap();
        fs::create_dir_all(root.path().join("sys/class/watchdog/watchdog0")).unwrap();
        fs::write(root.path().join("dev/watchdog"), "").unwrap();
        let timeout = root.path().join("sys/class/watchdog/watchdog0/timeout");
        fs::write(&timeout, "3\n").unwrap();
        assert!(
            Device::open(&kernel)
                .unwrap_err()
                .to_string()
                .contains("3 s")
        );
        fs::write(&timeout, "15\n").unwrap();
        let device = Box::new(Device::open(&kernel).unwrap());
        let told = Cell::new(0);
        let check = || {
            told.set(told.get() + 1);
            async { Ok(()) }
        };
        clock::keep(keep(device, check, Timer::after_secs(6))).await;
        assert_eq!(
            fs::read(root.path().join("dev/watchdog")).unwrap(),
            b"\0\0V"
        );
        assert_eq!(told.get(), 2);
    }
}
