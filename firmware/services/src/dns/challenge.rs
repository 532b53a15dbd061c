//! Answers to the challenges of certificate authorities (RFC 8555 §8.4): texts that come and go.

use super::{
    Dns, Place,
    books::Own,
    limits::{CHALLENGE_TTL_S, CHALLENGES_MAX},
    provider::{Failure, FailureKind},
    record::{Data, Kept, Record, whole},
};

impl Dns {
    /// Publishes a text under a name of the domain, beside whatever is there. Done when the provider has it;
    /// [`Dns::txt_everywhere`] tells when others see it.
    pub async fn publish_txt(&self, name: &str, value: &str) -> Result<(), Failure> {
        let record = text(name, value);
        let mut turn = self.0.turn.lock().await;
        let place = self.0.place(&mut turn).await?.ok_or_else(nobody)?;
        let entries = self.0.books.read(&place.zone, &*self.0.parts.dice).await?;
        if entries.challenges().len() >= CHALLENGES_MAX {
            let why = "too many answers to challenges are published already";
            return Err(Failure::new(
                FailureKind::Setup,
                why,
                "they are removed after two hours",
            ));
        }
        let there = said(&place, &record).await?;
        let kept = match there.into_iter().next() {
            Some(kept) => kept,
            None => place.provider.create(&place.zone, &record).await?,
        };
        let own = Own {
            name: record.name,
            since: self.0.parts.clock.now(),
            is_challenge: true,
        };
        self.0.books.note(&place.zone, &kept.id, &own);
        Ok(())
    }

    /// Takes it back; nothing where it is gone already.
    pub async fn withdraw_txt(&self, name: &str, value: &str) -> Result<(), Failure> {
        let record = text(name, value);
        let mut turn = self.0.turn.lock().await;
        let place = self.0.place(&mut turn).await?.ok_or_else(nobody)?;
        let entries = self.0.books.read(&place.zone, &*self.0.parts.dice).await?;
        let challenges = entries.challenges();
        for kept in said(&place, &record).await? {
            if challenges.contains(&kept.id) {
                place.provider.remove(&place.zone, &kept).await?;
                self.0.books.forget(&place.zone, &kept.id);
            }
        }
        Ok(())
    }

    /// Whether every authoritative name server of the zone answers with this text.
    pub async fn txt_everywhere(&self, name: &str, value: &str) -> bool {
        let Ok(Some(zone)) = self.0.zone_alone().await else {
            return false;
        };
        let record = [text(name, value)];
        match self.0.parts.name_servers.look(&zone, &record).await {
            Ok(answers) => {
                !answers.is_empty() && answers.iter().all(|it| it.says == Ok(vec![true]))
            }
            Err(_) => false,
        }
    }
}

fn text(name: &str, value: &str) -> Record {
    Record::new(whole(name), CHALLENGE_TTL_S, Data::Txt(value.to_owned()))
}

/// Records that say just this.
async fn said(place: &Place, record: &Record) -> Result<Vec<Kept>, Failure> {
    let names = [record.name.clone()];
    let mut kept = place.provider.records(&place.zone, &names).await?;
    kept.retain(|kept| kept.record.says_same(record));
    Ok(kept)
}

fn nobody() -> Failure {
    let next = "set dns.provider, or choose another challenge than dns-01";
    Failure::new(
        FailureKind::Setup,
        "nobody keeps the records of this domain for us",
        next,
    )
}
