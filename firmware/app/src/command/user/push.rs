//! `hearth user push-test`: whether the phones of an account can be woken.

use super::Name;
use crate::{
    command::{Caller, UNEXPECTED, print_line},
    control::protocol::{Answer, Request, TrialLine},
};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// One sentence for each device. The status tells whether all were reached, and that there was one.
pub(super) fn test(name: &Name, caller: &Caller) -> Result<ExitCode> {
    let localpart = name.localpart.clone();
    let Answer::Trials(trials) = caller.ask(&Request::PushTest { localpart })? else {
        bail!(UNEXPECTED)
    };
    if caller.json {
        print_line(&serde_json::to_string(&trials)?)?;
    } else {
        for trial in &trials {
            print_line(&sentence(trial))?;
        }
        if trials.is_empty() {
            print_line(&format!(
                "{}: no app has asked for push; sign in with one that can, and look at its settings",
                name.jid
            ))?;
        }
    }
    let all_taken = !trials.is_empty() && trials.iter().all(|trial| trial.outcome == "taken");
    Ok(ExitCode::from(u8::from(!all_taken)))
}

/// For a person. A client wrote its device's name: nothing in it moves the terminal's cursor.
fn sentence(trial: &TrialLine) -> String {
    let condition = trial.condition.as_deref().unwrap_or("no reason given");
    let became = match &*trial.outcome {
        "taken" => "took the test; the device should show it now".to_owned(),
        "refused" => format!("did not take the test ({condition}); it will be tried again"),
        "dropped" => {
            format!(
                "no longer knows this device ({condition}); open its app, which asks for push again"
            )
        }
        _ => "did not answer in time; see the log".to_owned(),
    };
    let sentence = format!("{}: {} {became}", trial.device, trial.service);
    sentence.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn what_became_of_a_test_in_words() {
        let check = |outcome: &str, condition: Option<&str>, expected: Expect| {
            let sentence = sentence(&TrialLine {
                service: "push.app.example".into(),
                device: "Aunt's\n\u{1b}phone".into(),
                outcome: outcome.into(),
                condition: condition.map(Into::into),
            });
            let said = sentence.strip_prefix("Aunt's  phone: push.app.example ");
            expected.assert_eq(said.unwrap_or(&sentence));
        };
        check(
            "taken",
            None,
            expect!["took the test; the device should show it now"],
        );
        check(
            "refused",
            Some("remote-server-not-found"),
            expect!["did not take the test (remote-server-not-found); it will be tried again"],
        );
        check(
            "dropped",
            Some("gone"),
            expect!["no longer knows this device (gone); open its app, which asks for push again"],
        );
        check(
            "silent",
            None,
            expect!["did not answer in time; see the log"],
        );
    }
}
