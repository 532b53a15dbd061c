//! The panel: the LEDs and the button that a board has, found, put together and served.
//!
//! State while it runs: what the button is held for, and the address that is being shown.

use crate::{
    address,
    button::{self, Event, Hold},
    chip::CharacterDevice,
    clock,
    kernel::Kernel,
    lamp::{Inverted, Lamp, Pins},
    led::{Place, Situation, shown},
    limits::{ADDRESS_TIMES, EVENTS_MAX},
    registers::Registers,
    rhythm::{Rhythm, play},
    simulated::Terminal,
    sysfs::{self, SysfsLamp},
};
use embassy_time::{Duration, Instant, Timer};
use household::config::{Board, Gpio, Leds};
use std::{
    any::Any,
    future::{Future, pending, poll_fn},
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::Poll,
};
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// What a board has.
#[derive(Default)]
pub struct Panel {
    lamps: Vec<(Place, Box<dyn Lamp>)>,
    button: Option<(watch::Receiver<bool>, Box<dyn Any + Send>)>,
    notes: Vec<String>,
}

impl Panel {
    /// Takes what is there. What is not there is no error: [`Panel::notes`] has a sentence for it.
    pub fn open(config: &Board, kernel: &Kernel) -> Panel {
        let mut panel = Panel::default();
        match config.leds {
            Leds::Off => return panel,
            Leds::Terminal => panel.add_terminal(),
            Leds::Auto => panel.add_kernel_leds(config, kernel),
        }
        panel.add_pins(config, kernel);
        panel
    }

    /// Adds an LED.
    pub fn with_lamp(mut self, place: Place, lamp: Box<dyn Lamp>) -> Panel {
        self.lamps.push((place, lamp));
        self
    }

    /// Adds a button: whether it is pressed, and what must stay for that to be told.
    pub fn with_button(
        mut self,
        pressed: watch::Receiver<bool>,
        kept: Box<dyn Any + Send>,
    ) -> Panel {
        self.button = Some((pressed, kept));
        self
    }

    /// What was found and what could not be used, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn add_terminal(&mut self) {
        let terminal = Terminal::new(Box::new(io::stderr()));
        for place in Place::ALL {
            self.lamps.push((place, Box::new(terminal.lamp(place))));
        }
    }

    /// Other machines have LEDs, too, and they are none of our business.
    fn add_kernel_leds(&mut self, config: &Board, kernel: &Kernel) {
        let Some(model) = kernel
            .model()
            .filter(|model| model.starts_with("Raspberry Pi"))
        else {
            return;
        };
        for place in Place::ALL {
            for folder in sysfs::find(kernel, place) {
                let name = folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let note = match SysfsLamp::take(folder) {
                    Ok(lamp) => {
                        self.add(config, place, &name, Box::new(lamp));
                        format!("{model}: the LED {name} shows {}", place.name())
                    }
                    Err(error) => format!("the LED {name} cannot be used: {error}"),
                };
                self.notes.push(note);
            }
        }
    }

    fn add_pins(&mut self, config: &Board, kernel: &Kernel) {
        let leds = [
            (Place::Health, config.health_pin),
            (Place::Internet, config.internet_pin),
            (Place::Chat, config.chat_pin),
        ];
        let leds = leds
            .into_iter()
            .filter(|(_, pin)| *pin != 0)
            .collect::<Vec<_>>();
        if leds.is_empty() && config.button_pin == 0 {
            return;
        }
        let pins = match open_pins(config.gpio, kernel) {
            Ok(pins) => pins,
            Err(error) => {
                return self.notes.push(format!("the pins cannot be used: {error}"));
            }
        };
        self.notes
            .push(format!("pins are driven by {}", pins.name()));
        for (place, pin) in leds {
            match pins.lamp(pin) {
                Ok(lamp) => self.add(config, place, place.name(), lamp),
                Err(error) => self
                    .notes
                    .push(format!("pin {pin} cannot be used: {error}")),
            }
        }
        if config.button_pin != 0 {
            let (tell, pressed) = watch::channel(false);
            match pins.button(config.button_pin, tell) {
                Ok(kept) => self.button = Some((pressed, kept)),
                Err(error) => {
                    let pin = config.button_pin;
                    self.notes
                        .push(format!("the button at pin {pin} cannot be used: {error}"));
                }
            }
        }
    }

    fn add(&mut self, config: &Board, place: Place, name: &str, lamp: Box<dyn Lamp>) {
        let inverted = config.inverted.iter().any(|other| other == name);
        let lamp = if inverted {
            Box::new(Inverted(lamp))
        } else {
            lamp
        };
        self.lamps.push((place, lamp));
    }

    /// Shows the situation and tells what fingers want, until nobody changes the situation any more; then
    /// everything is given back.
    pub async fn run(
        self,
        situation: watch::Receiver<Situation>,
        address: impl Fn() -> Option<Ipv4Addr>,
        orders: mpsc::Sender<Hold>,
    ) {
        let mut shows = Vec::new();
        let mut players: Vec<Player> = Vec::new();
        for (place, lamp) in self.lamps {
            let (show, rhythm) = watch::channel(Rhythm::Dark);
            shows.push((place, show));
            players.push(Box::pin(playing(place, lamp, rhythm)));
        }
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let desk = Desk {
            situation,
            shows,
            events,
            orders,
            address,
            counting: None,
        };
        let button = self.button;
        let work = async {
            tokio::select! {
                () = desk.serve() => {}
                () = listen(button, tell) => {}
            }
        };
        clock::keep(async { tokio::join!(work, all(players)) }).await;
    }
}

/// In the order of the configuration, or what was asked for.
fn open_pins(gpio: Gpio, kernel: &Kernel) -> io::Result<Box<dyn Pins>> {
    let chip = || CharacterDevice::find(kernel).map(|it| Box::new(it) as Box<dyn Pins>);
    let registers = || Registers::open().map(|it| Box::new(it) as Box<dyn Pins>);
    match gpio {
        Gpio::Chip => chip(),
        Gpio::Registers => registers(),
        // The first error is the one that can be mended on any kernel.
        Gpio::Auto => chip().or_else(|error| registers().map_err(|_| error)),
    }
}

type Player = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn playing(place: Place, lamp: Box<dyn Lamp>, rhythm: watch::Receiver<Rhythm>) {
    if let Err(error) = play(lamp, rhythm).await {
        warn!(%error, "the LED {} does not work", place.name());
    }
}

/// All of them, polled together, as their clock wants it.
async fn all(mut players: Vec<Player>) {
    poll_fn(|cx| {
        players.retain_mut(|player| player.as_mut().poll(cx).is_pending());
        if players.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Never ends, so that the desk stays when the button is gone.
async fn listen(
    button: Option<(watch::Receiver<bool>, Box<dyn Any + Send>)>,
    tell: mpsc::Sender<Event>,
) {
    if let Some((pressed, _kept)) = button {
        // Served at once by the same task: it is full only if that is stopping.
        button::follow(pressed, |event| {
            let _ = tell.try_send(event);
        })
        .await;
    }
    pending::<()>().await;
}

/// Where what is shown and what is asked come together.
struct Desk<A> {
    situation: watch::Receiver<Situation>,
    shows: Vec<(Place, watch::Sender<Rhythm>)>,
    events: mpsc::Receiver<Event>,
    orders: mpsc::Sender<Hold>,
    address: A,
    /// The address that is shown, until when, and whether it is the whole one.
    counting: Option<(Rhythm, Instant, bool)>,
}

impl<A: Fn() -> Option<Ipv4Addr>> Desk<A> {
    async fn serve(mut self) {
        let mut held = None;
        loop {
            let mut situation = self.situation.borrow_and_update().clone();
            situation.held = held;
            self.show(&situation);
            let counted = self.counting.as_ref().map(|(_, until, _)| *until);
            tokio::select! {
                biased;
                change = self.situation.changed() => if change.is_err() { return },
                Some(event) = self.events.recv() => held = self.note(event),
                () = at(counted) => self.counting = None,
            }
        }
    }

    fn show(&self, situation: &Situation) {
        for (place, show) in &self.shows {
            let mut rhythm = &shown(*place, situation).rhythm;
            let finger = situation.held.is_some_and(|hold| hold != Hold::Address);
            if let Some((address, _, _)) = &self.counting
                && *place == Place::Health
                && !finger
            {
                rhythm = address;
            }
            show.send_if_modified(|shown| {
                let differs = shown != rhythm;
                if differs {
                    shown.clone_from(rhythm);
                }
                differs
            });
        }
    }

    /// What the button is held for from now on.
    fn note(&mut self, event: Event) -> Option<Hold> {
        match event {
            Event::Held(hold) => return Some(hold),
            Event::Released(Hold::Address) => self.count(),
            Event::Released(Hold::Nothing) => {}
            // Whoever carries orders out is busy with one just like it.
            Event::Released(hold) => {
                let _ = self.orders.try_send(hold);
            }
        }
        None
    }

    /// Shows the last number of the address; asked again meanwhile, all of it.
    fn count(&mut self) {
        let Some(address) = (self.address)() else {
            self.counting = None;
            return;
        };
        let whole = matches!(self.counting, Some((_, _, false)));
        let rhythm = if whole {
            address::whole(address)
        } else {
            address::last_octet(address)
        };
        let time = Duration::from_millis(ADDRESS_TIMES * rhythm.round_ms() - BEFORE_NEXT_MS);
        self.counting = Some((rhythm, Instant::now() + time, whole));
    }
}

/// An address ends in the dark, before it would begin once more.
const BEFORE_NEXT_MS: u64 = 500;

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => Timer::at(moment).await,
        None => pending().await,
    }
}
