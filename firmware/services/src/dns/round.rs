//! One round: what is there, what is to be done, and doing it step by step. Whatever was done is noted at
//! once, so that a round that breaks off is finished by the next.

use super::{
    Inner, Place,
    books::{Entries, Own},
    limits::{CHALLENGE_AGE_MAX, CHALLENGE_TTL_S, RECORD_TTL_S},
    plan::{self, Plan, Step, plan},
    provider::{Failure, FailureKind},
    record::{Data, Kept, Record},
};
use std::collections::BTreeSet;
use tracing::info;

/// A plan and the zone it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub zone: String,
    pub plan: Plan,
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub zone: String,
    pub plan: Plan,
    /// Steps that were taken.
    pub taken: usize,
    /// The first step that was not taken, and why.
    pub failure: Option<Failure>,
}

/// What a round begins with.
struct View {
    place: Place,
    entries: Entries,
    actual: Vec<Kept>,
    plan: Plan,
}

impl Inner {
    pub(super) async fn plan(&self, adopts: bool) -> Result<Option<Planned>, Failure> {
        let view = self.view(&mut *self.turn.lock().await, adopts).await?;
        Ok(view.map(|view| Planned {
            zone: view.place.zone,
            plan: view.plan,
        }))
    }

    pub(super) async fn apply(&self, adopts: bool) -> Result<Option<Done>, Failure> {
        let mut turn = self.turn.lock().await;
        let Some(view) = self.view(&mut turn, adopts).await? else {
            return Ok(None);
        };
        let View {
            place,
            entries,
            actual,
            plan,
        } = view;
        // First: what is made anew may have the id of what is gone.
        self.tidy(&place, &entries, &actual).await;
        let (mut taken, mut failure) = (0, None);
        if !plan.is_held {
            if entries.own.is_empty() && !plan.steps.is_empty() {
                say_first(&place.zone, &plan);
                let scratch = scratch(&self.config().domain);
                rehearse(&place, &scratch, &actual).await?;
            }
            for step in &plan.steps {
                match self.take(&place, step).await {
                    Ok(()) => taken += 1,
                    // One bad record is no reason to keep the others back.
                    Err(refusal) if refusal.kind == FailureKind::Refused => {
                        failure.get_or_insert(refusal);
                    }
                    Err(broken) => {
                        failure = Some(broken);
                        break;
                    }
                }
            }
        }
        Ok(Some(Done {
            zone: place.zone,
            plan,
            taken,
            failure,
        }))
    }

    async fn view(&self, turn: &mut super::Turn, adopts: bool) -> Result<Option<View>, Failure> {
        let Some(place) = self.place(turn).await? else {
            return Ok(None);
        };
        let entries = self.books.read(&place.zone, &*self.parts.dice).await?;
        let domain = self.config().domain.clone();
        let marker = marker(&domain, &entries.owner);
        let wanted = self.wanted();
        let wished = wanted
            .records
            .iter()
            .chain([&marker])
            .map(|record| &record.name);
        let own = entries.own.values().map(|own| &own.name);
        let scratch = scratch(&domain).name;
        let names: BTreeSet<&String> = wished.chain(own).chain([&scratch]).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let actual = match place.provider.records(&place.zone, &names).await {
            // It was there, and may come back under another account.
            Err(failure) if failure.kind == FailureKind::Zone => {
                turn.zone = None;
                return Err(failure);
            }
            other => other?,
        };
        let (ids, challenges) = (entries.ids(), entries.challenges());
        let own = plan::Own {
            marker: &marker,
            ids: &ids,
            apart: &challenges,
        };
        let plan = plan(&wanted, &domain, &actual, &own, adopts);
        Ok(Some(View {
            place,
            entries,
            actual,
            plan,
        }))
    }

    async fn take(&self, place: &Place, step: &Step) -> Result<(), Failure> {
        let (provider, zone) = (&place.provider, place.zone.as_str());
        match step {
            Step::Create(record) => {
                let kept = provider.create(zone, record).await?;
                self.own(zone, &kept);
                info!("DNS: made {}", kept.record);
            }
            Step::Change { kept, to } => {
                let changed = provider.change(zone, kept, to).await?;
                if changed.id != kept.id {
                    self.books.forget(zone, &kept.id);
                }
                self.own(zone, &changed);
                info!("DNS: changed {} to {}", kept.record, to.data);
            }
            Step::Adopt(kept) => self.own(zone, kept),
            Step::Remove(kept) => {
                provider.remove(zone, kept).await?;
                self.books.forget(zone, &kept.id);
                info!("DNS: removed {}", kept.record);
            }
        }
        Ok(())
    }

    fn own(&self, zone: &str, kept: &Kept) {
        let own = Own {
            name: kept.record.name.clone(),
            since: self.parts.clock.now(),
            is_challenge: false,
        };
        self.books.note(zone, &kept.id, &own);
    }

    /// Forgets what others removed, and removes answers to challenges that nobody asks any more.
    async fn tidy(&self, place: &Place, entries: &Entries, actual: &[Kept]) {
        let now = self.parts.clock.now();
        for (id, own) in &entries.own {
            let is_old = now.saturating_sub(own.since) > CHALLENGE_AGE_MAX.as_millis() as u64;
            let is_gone = match actual.iter().find(|kept| kept.id == *id) {
                None => true,
                Some(kept) if own.is_challenge && is_old => {
                    place.provider.remove(&place.zone, kept).await.is_ok()
                }
                Some(_) => false,
            };
            if is_gone {
                self.books.forget(&place.zone, id);
            }
        }
    }
}

/// The record that says whose zone this is.
fn marker(domain: &str, owner: &str) -> Record {
    let text = Data::Txt(format!("hearth={owner}"));
    Record::new(format!("_hearth-owner.{domain}"), RECORD_TTL_S, text)
}

/// A record that is there for a moment.
fn scratch(domain: &str) -> Record {
    let text = Data::Txt("hearth tries whether it may write here".to_owned());
    Record::new(format!("_hearth-test.{domain}"), CHALLENGE_TTL_S, text)
}

/// Before the first write, each verb once: a right that is missing is told now, and not on the night when the
/// address changes. What an earlier attempt could not remove is used again.
async fn rehearse(place: &Place, scratch: &Record, actual: &[Kept]) -> Result<(), Failure> {
    let (provider, zone) = (&place.provider, place.zone.as_str());
    let left = actual.iter().find(|kept| kept.record.is_beside(scratch));
    let made = match left {
        Some(kept) => kept.clone(),
        None => provider.create(zone, scratch).await?,
    };
    let other = Record {
        ttl: RECORD_TTL_S,
        ..scratch.clone()
    };
    let changed = provider.change(zone, &made, &other).await?;
    provider.remove(zone, &changed).await
}

/// Before the first write, what will be written.
fn say_first(zone: &str, plan: &Plan) {
    info!("DNS: the zone {zone} is written to for the first time:");
    for step in &plan.steps {
        info!("DNS: {step}");
    }
}
