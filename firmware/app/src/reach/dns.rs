//! The records of the house: the service with what it needs of the machine, and the commands that ask it.

use crate::{
    control::protocol::{Answer, RecordLine, RecordsPlanned, RecordsQuestion, RecordsSeen},
    machine::{MachineClock, MachineDice, MachineFiles},
};
use anyhow::{Context, Result, bail};
use household::Config;
use server::s2s::resolve::Resolver;
use services::{
    dns::{
        Dns, Done, Parts, Planned, Seeing,
        authoritative::Authoritative,
        chooser,
        plan::{Conflict, Plan, Step},
        record::Record,
    },
    http::Http,
};
use std::sync::Arc;
use store::{Store, Urgency};

/// The service, and where it finds providers.
pub(crate) struct Names {
    pub(crate) dns: Dns,
    resolver: Arc<Resolver>,
}

impl Names {
    /// `config` gives the configuration in force.
    pub(crate) fn open(
        config: impl Fn() -> Arc<Config> + Send + Sync + 'static,
        store: Arc<Store>,
    ) -> Names {
        let (files, clock) = (Arc::new(MachineFiles), Arc::new(MachineClock::start()));
        let now = config();
        let nameservers = now.resolver.nameservers.clone();
        let resolver = Arc::new(Resolver::new(nameservers.clone()));
        let http = Http::new(
            resolver.clone(),
            Arc::new(move || super::authorities(&config())),
        );
        let parts = Parts {
            store,
            clock: clock.clone(),
            dice: Arc::new(MachineDice),
            providers: chooser(http, clock, files),
            name_servers: Arc::new(Authoritative::new(nameservers)),
        };
        Names {
            dns: Dns::new(parts, &now),
            resolver,
        }
    }

    /// The configuration is another now.
    pub(crate) fn follow(&self, config: &Config) {
        self.resolver.follow(&config.resolver.nameservers);
        self.dns.follow(config);
    }
}

/// Without a server: what is known is what the configuration says.
pub(crate) fn alone(
    config: &Arc<Config>,
    store: &Arc<Store>,
    question: RecordsQuestion,
) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let config = config.clone();
    let names = Names::open(move || config.clone(), store.clone());
    let answer = runtime.block_on(answer(&names.dns, question));
    // What was noted is on disk before the command ends.
    store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
    answer
}

pub(crate) async fn answer(dns: &Dns, question: RecordsQuestion) -> Result<Answer> {
    match question {
        RecordsQuestion::Plan { adopts } => {
            Ok(Answer::RecordsPlanned(match dns.plan(adopts).await? {
                Some(Planned { zone, plan }) => planned(Some(zone), &plan),
                None => by_hand(dns),
            }))
        }
        RecordsQuestion::Apply { adopts } => apply(dns, adopts).await,
        RecordsQuestion::Status => match dns.status().await? {
            Some(seeing) => Ok(Answer::RecordsSeen(seen(&seeing))),
            None => bail!(NOBODY),
        },
    }
}

const NOBODY: &str =
    "nobody keeps the records of this house: set a public domain, dns.provider and dns.token_file";

async fn apply(dns: &Dns, adopts: bool) -> Result<Answer> {
    let Some(Done {
        zone,
        plan,
        taken,
        failure,
    }) = dns.apply(adopts).await?
    else {
        bail!(NOBODY)
    };
    if let Some(failure) = failure {
        bail!(
            "{taken} of {} changes were made, then: {failure}",
            plan.steps.len()
        );
    }
    if plan.is_held {
        bail!(
            "nothing was written, for what others wrote stands in the way: see `hearth dns plan`, and say \
             `hearth dns apply --adopt` to write over it"
        );
    }
    Ok(Answer::RecordsPlanned(planned(Some(zone), &plan)))
}

fn planned(zone: Option<String>, plan: &Plan) -> RecordsPlanned {
    let mut lines: Vec<RecordLine> = plan.right.iter().map(|it| line("keep", it, None)).collect();
    lines.extend(plan.steps.iter().map(|step| match step {
        Step::Create(record) => line("create", record, None),
        Step::Change { kept, to } => line("change", to, Some(&[&kept.record])),
        Step::Adopt(kept) => line("adopt", &kept.record, None),
        Step::Remove(kept) => line("remove", &kept.record, None),
    }));
    lines.extend(plan.conflicts.iter().map(|Conflict { wanted, there, .. }| {
        let there: Vec<&Record> = there.iter().map(|kept| &kept.record).collect();
        line("conflict", wanted, Some(&there))
    }));
    RecordsPlanned {
        zone,
        is_held: plan.is_held,
        lines,
    }
}

/// All of them, for somebody who enters them.
fn by_hand(dns: &Dns) -> RecordsPlanned {
    let records = dns.records();
    RecordsPlanned {
        zone: None,
        is_held: false,
        lines: records.iter().map(|it| line("enter", it, None)).collect(),
    }
}

fn line(action: &str, record: &Record, there: Option<&[&Record]>) -> RecordLine {
    let there = there.map(|there| {
        let texts: Vec<String> = there
            .iter()
            .map(|it| format!("{} {}", it.data.kind(), it.data))
            .collect();
        texts.join(", ")
    });
    RecordLine {
        action: action.to_owned(),
        name: record.name.clone(),
        kind: record.data.kind().to_owned(),
        data: record.data.to_string(),
        ttl: record.ttl,
        there,
    }
}

fn seen(seeing: &Seeing) -> Vec<RecordsSeen> {
    let mut lines = Vec::new();
    for answer in &seeing.answers {
        for (at, record) in seeing.wanted.iter().enumerate() {
            let answer_is = match &answer.says {
                Ok(says) if says.get(at) == Some(&true) => "ok".to_owned(),
                Ok(_) => "not there".to_owned(),
                Err(why) => why.to_string(),
            };
            lines.push(RecordsSeen {
                server: answer.host.clone(),
                name: record.name.clone(),
                kind: record.data.kind().to_owned(),
                data: record.data.to_string(),
                answer: answer_is,
            });
        }
    }
    lines
}
