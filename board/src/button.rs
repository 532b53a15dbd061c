//! The button: how long it was held decides what is done, when it is let go.
//!
//! State: the contact as it is after debouncing, since when it is pressed, and what was confirmed. It has
//! no clock and no pin; [`follow`] gives it both.

use crate::limits::{BOOT_MS, DEBOUNCE_MS};
use embassy_time::{Duration, Instant, Timer};
use tokio::sync::watch;

/// What letting go would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Shows the address in blinks.
    Address,
    /// Opens the claim window.
    ClaimWindow,
    /// Lets the administrator be chosen anew.
    AdminReset,
    /// Removes everything but the backups.
    FactoryReset,
    /// Leaves everything as it is.
    Nothing,
}

/// From how many milliseconds on: for any press, and for one that began at boot.
const HOLDS: &[(u64, Hold, Hold)] = &[
    (0, Hold::Address, Hold::Address),
    (3_000, Hold::ClaimWindow, Hold::ClaimWindow),
    // Whose finger slips must not open the house: the administrator is reset by who can pull the plug.
    (10_000, Hold::Nothing, Hold::AdminReset),
    (20_000, Hold::FactoryReset, Hold::FactoryReset),
    // No finger stays so long: something leans on the button, or its wires touch.
    (30_000, Hold::Nothing, Hold::Nothing),
];

/// What happened to the button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is held, and letting go would do that from now on.
    Held(Hold),
    /// It was let go: that is to be done.
    Released(Hold),
}

/// The contact and what it was used for. Times are those of one clock and never go back.
#[derive(Debug)]
pub struct Button {
    /// Until when a press is one at boot.
    boot_until: Instant,
    pressed: bool,
    /// What the contact is and since when, while that is not believed yet.
    contact: Option<(bool, Instant)>,
    /// Since when it is pressed, and the last row that was told.
    press: Option<(Instant, usize)>,
}

impl Button {
    /// A button that nobody has touched since the start.
    pub fn new(start: Instant) -> Button {
        Button {
            boot_until: start + Duration::from_millis(BOOT_MS),
            pressed: false,
            contact: None,
            press: None,
        }
    }

    /// The contact opened or closed; it may have done so several times.
    pub fn contact(&mut self, pressed: bool, now: Instant) {
        self.contact = (pressed != self.pressed).then_some((pressed, now));
    }

    /// When to ask [`Button::next`] again, without a new contact; `None` = not at all.
    pub fn due(&self) -> Option<Instant> {
        // While it opens, no threshold can be passed any more; it may close again.
        if let Some((pressed, since)) = self.contact
            && !pressed
        {
            return Some(since + Duration::from_millis(DEBOUNCE_MS));
        }
        let settled = self
            .contact
            .map(|(_, since)| since + Duration::from_millis(DEBOUNCE_MS));
        let next = self.press.and_then(|(since, row)| {
            let (ms, _, _) = HOLDS.get(row + 1)?;
            Some(since + Duration::from_millis(*ms))
        });
        [settled, next].into_iter().flatten().min()
    }

    /// What has happened until now, one after the other; `None` = no more.
    pub fn next(&mut self, now: Instant) -> Option<Event> {
        if let Some(hold) = self.confirm(now) {
            return Some(Event::Held(hold));
        }
        let (pressed, since) = self.contact?;
        if now < since + Duration::from_millis(DEBOUNCE_MS) {
            return None;
        }
        (self.contact, self.pressed) = (None, pressed);
        if pressed {
            self.press = Some((since, 0));
            return Some(Event::Held(Hold::Address));
        }
        let (began, row) = self.press.take()?;
        Some(Event::Released(self.hold(began, row)))
    }

    /// The next threshold, if it was passed before the contact opened.
    fn confirm(&mut self, now: Instant) -> Option<Hold> {
        let until = match self.contact {
            Some((false, opened)) => opened.min(now),
            _ => now,
        };
        let (began, row) = self.press?;
        let (ms, _, _) = HOLDS.get(row + 1)?;
        if until < began + Duration::from_millis(*ms) {
            return None;
        }
        self.press = Some((began, row + 1));
        Some(self.hold(began, row + 1))
    }

    fn hold(&self, began: Instant, row: usize) -> Hold {
        let (_, any, at_boot) = HOLDS[row];
        if began < self.boot_until {
            at_boot
        } else {
            any
        }
    }
}

/// Follows a contact and tells what happens, until the contact is gone.
pub async fn follow(mut contact: watch::Receiver<bool>, mut tell: impl FnMut(Event)) {
    let mut button = Button::new(Instant::now());
    contact.mark_changed();
    loop {
        tokio::select! {
            biased;
            change = contact.changed() => {
                if change.is_err() {
                    return;
                }
                let pressed = *contact.borrow_and_update();
                button.contact(pressed, Instant::now());
            }
            () = until(button.due()) => {}
        }
        while let Some(event) = button.next(Instant::now()) {
            tell(event);
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => Timer::at(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contacts as `+ms` (closed) and `-ms` (open); what it came to, with times.
    fn check(contacts: &[i64], expected: &[(u64, Event)]) {
        let mut button = Button::new(Instant::from_millis(0));
        let mut told = Vec::new();
        let mut waiting = contacts.iter().peekable();
        loop {
            let contact = waiting
                .peek()
                .map(|at| Instant::from_millis(at.unsigned_abs()));
            let now = match (contact, button.due()) {
                (Some(contact), Some(due)) => contact.min(due),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => break,
            };
            if contact == Some(now)
                && let Some(at) = waiting.next()
            {
                button.contact(*at > 0, now);
            }
            while let Some(event) = button.next(now) {
                told.push((now.as_millis(), event));
            }
        }
        assert_eq!(told, expected, "{contacts:?}");
    }

    #[test]
    fn holding_confirms_and_letting_go_decides() {
        use Event::{Held, Released};
        use Hold::*;
        let late = 100_000;
        check(
            &[100_000, -100_400],
            &[(late + 30, Held(Address)), (late + 430, Released(Address))],
        );
        check(
            &[100_000, -103_400],
            &[
                (late + 30, Held(Address)),
                (late + 3_000, Held(ClaimWindow)),
                (late + 3_430, Released(ClaimWindow)),
            ],
        );
        let up_to_ten = [
            (late + 30, Held(Address)),
            (late + 3_000, Held(ClaimWindow)),
            (late + 10_000, Held(Nothing)),
        ];
        let and = |more: &[(u64, Event)]| [&up_to_ten, more].concat();
        check(
            &[100_000, -112_000],
            &and(&[(late + 12_030, Released(Nothing))]),
        );
        let factory = (late + 20_000, Held(FactoryReset));
        check(
            &[100_000, -121_000],
            &and(&[factory, (late + 21_030, Released(FactoryReset))]),
        );
        let never = (late + 30_000, Held(Nothing));
        check(
            &[100_000, -999_000],
            &and(&[factory, never, (999_030, Released(Nothing))]),
        );
    }

    #[test]
    fn only_a_press_at_boot_resets_the_administrator() {
        use Event::{Held, Released};
        use Hold::*;
        check(
            &[59_000, -70_000],
            &[
                (59_030, Held(Address)),
                (62_000, Held(ClaimWindow)),
                (69_000, Held(AdminReset)),
                (70_030, Released(AdminReset)),
            ],
        );
    }

    #[test]
    fn a_bouncing_contact_is_one_press() {
        use Event::{Held, Released};
        let short =
            |from: u64, to: u64| [(from, Held(Hold::Address)), (to, Released(Hold::Address))];
        check(
            &[1_000, -1_004, 1_009, -1_011, 1_015, -1_500, 1_505, -1_512],
            &short(1_045, 1_542),
        );
        // A spark is nothing, and neither is a gap while it is held.
        check(&[1_000, -1_010], &[]);
        check(&[1_000, -1_200, 1_210, -1_500], &short(1_030, 1_530));
    }

    #[test]
    fn what_opened_before_a_threshold_does_not_pass_it_while_it_settles() {
        check(
            &[100_000, -102_990],
            &[
                (100_030, Event::Held(Hold::Address)),
                (103_020, Event::Released(Hold::Address)),
            ],
        );
    }
}
