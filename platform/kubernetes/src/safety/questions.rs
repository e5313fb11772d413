//! What no object tells, asked as a question: with what makes one ask, where something does.

use serde_json::Value;

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    found.push(works_unasked(subject));
    found.push(remembers(subject));
    let called = found.iter().any(|one| matches!(one.fact, "caller" | "no-way"));
    if !called {
        found.extend(is_called(subject));
    }
}

fn question(fact: &'static str, evidence: &[String]) -> Finding {
    Finding::new(Verdict::Question, Topic::Program, fact).found(evidence.join("; "))
}

/// Most pieces of evidence that are told.
const TOLD: usize = 4;

/// Words of a command that say what it does.
const WORKERS: [&str; 16] = [
    "worker",
    "consumer",
    "cron",
    "crond",
    "supercronic",
    "scheduler",
    "celery",
    "beat",
    "sidekiq",
    "resque",
    "delayed_job",
    "queue:work",
    "horizon",
    "hangfire",
    "crontab",
    "--leader-elect",
];

/// What the names of variables begin with that say where work comes from.
const QUEUES: [&str; 10] =
    ["KAFKA_", "RABBITMQ_", "AMQP_", "SQS_", "NATS_", "PULSAR_", "CELERY_", "SIDEKIQ_", "CRON", "PUBSUB_"];

fn works_unasked(subject: &Subject<'_>) -> Finding {
    let mut evidence = Vec::new();
    for (_, container) in subject.containers() {
        let name = look::text(container, "/name");
        let words = ["/command", "/args"].into_iter().flat_map(|at| look::list(container, at));
        let words: Vec<&str> = words.filter_map(Value::as_str).flat_map(str::split_whitespace).collect();
        let works = |word: &&&str| {
            let base = word.rsplit('/').next().unwrap_or(word);
            WORKERS.contains(&base.split('=').next().unwrap_or(base))
        };
        let worker = words.iter().find(works);
        evidence.extend(worker.map(|word| format!("container {name} runs {word}")));
        let variables = look::list(container, "/env").iter().map(|variable| look::text(variable, "/name"));
        let queue = variables.into_iter().find(|name| QUEUES.iter().any(|queue| name.starts_with(queue)));
        evidence.extend(queue.map(|variable| format!("container {name} has {variable}")));
    }
    evidence.truncate(TOLD);
    question("works-unasked", &evidence)
        .why("Does it work when nobody asks (timers, cron, queue consumers, background threads)? That stops while it sleeps.")
        .fix("if so, keep a replica", subject.annotate("kaos.dev/min-scale=1"))
}

fn remembers(subject: &Subject<'_>) -> Finding {
    let mut evidence = Vec::new();
    let volumes = look::list(subject.pod(), "/volumes").iter();
    let scratch = volumes.filter(|volume| volume.get("emptyDir").is_some());
    let scratch: Vec<&str> = scratch.map(|volume| look::text(volume, "/name")).collect();
    if !scratch.is_empty() {
        evidence.push(format!("emptyDir {}", scratch.join(", ")));
    }
    for (raw, read) in &subject.services {
        if look::text(raw, "/spec/sessionAffinity") == "ClientIP" {
            evidence.push(format!("Service/{} keeps clients to one pod", read.name));
        }
        if look::list(raw, "/spec/ports").iter().any(|port| look::text(port, "/appProtocol").ends_with("/ws"))
        {
            evidence.push(format!("Service/{} has WebSockets", read.name));
        }
    }
    evidence.truncate(TOLD);
    question("remembers", &evidence)
        .why("Does it keep in memory or on its own disk what must outlive a sleep (sessions, WebSocket rooms, uploads)?")
        .fix("if so, keep it elsewhere, or keep a replica", subject.annotate("kaos.dev/min-scale=1"))
}

fn is_called(subject: &Subject<'_>) -> Option<Finding> {
    let way = subject.way.as_ref().ok()?;
    Some(
        question("called-inside", &[])
            .why(format!(
                "Does anything in the cluster call {}.{}? Asleep, its requests fail and wake nobody.",
                way.service, subject.namespace
            ))
            .fix(
                format!(
                    "if so, let it ask {} with the header `Host: {}.{}`",
                    subject.proxy(),
                    way.service,
                    subject.namespace
                ),
                "",
            ),
    )
}
