//! Leadership as timelines: one Lease, several candidates, a server that answers, refuses or hangs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::call::Api;
use super::lead::{Candidate, Lead, Leadership};
use super::testing::{Answer, Jumping, Log, Seen, fake, no, ok};

#[derive(Clone, Copy, PartialEq)]
enum Weather {
    Fine,
    Hang,
    Refuse(u16),
    Say(&'static str),
}

/// One Lease behind an API server.
#[derive(Clone)]
struct Server {
    lease: Arc<Mutex<Value>>,
    weather: Arc<Mutex<Weather>>,
}

impl Server {
    fn new() -> Self {
        let lease = json!({"metadata": {"name": "kaos-autoscaler", "resourceVersion": "1"}});
        Server { lease: Arc::new(Mutex::new(lease)), weather: Arc::new(Mutex::new(Weather::Fine)) }
    }

    fn client(&self) -> (Client, Log) {
        let this = self.clone();
        fake(move |seen| this.answer(seen))
    }

    fn answer(&self, seen: &Seen) -> Answer {
        match *self.weather.lock().unwrap() {
            Weather::Hang => return Answer::Hang,
            Weather::Refuse(code) => return no(code),
            Weather::Say(text) => return Answer::With(200, &[], text.to_owned()),
            Weather::Fine => {}
        }
        let mut lease = self.lease.lock().unwrap();
        if seen.method == "PUT" {
            if seen.body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                return no(409);
            }
            let version: u64 = lease["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            *lease = seen.body.clone();
            lease["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        }
        ok(&lease)
    }

    fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    fn holder(&self) -> String {
        self.lease.lock().unwrap()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }
}

/// One candidate with its own weather.
struct Runner {
    lead: Lead,
    leading: watch::Receiver<bool>,
    leadership: Leadership,
    clock: Jumping,
    log: Log,
}

fn stand(server: &Server, id: &str) -> Runner {
    let (client, log) = server.client();
    let clock = Jumping::new();
    let leadership = Leadership::new(clock.clock());
    let (leads, leading) = watch::channel(false);
    let candidate =
        Candidate { namespace: "kaos-system".into(), lease: "kaos-autoscaler".into(), id: id.into() };
    let lead = Lead::start(Arc::new(Api::new(client)), candidate, leadership.clone(), leads);
    Runner { lead, leading, leadership, clock, log }
}

async fn until(runner: &mut Runner, leads: bool) -> Duration {
    let begun = Instant::now();
    let change = runner.leading.wait_for(|now| *now == leads);
    timeout(Duration::from_secs(120), change).await.expect("it changes").unwrap();
    begun.elapsed()
}

const TICK: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_follows_when_it_is_gone() {
    let server = Server::new();
    let mut one = stand(&server, "one");
    assert!(until(&mut one, true).await < TICK);
    let mut two = stand(&server, "two");
    for _ in 0..600 {
        sleep(TICK).await;
        assert!(one.leadership.leads() && !two.leadership.leads());
    }
    // Killed: nobody renews. The other sees no change for 15 s.
    drop(one);
    let taken = until(&mut two, true).await;
    assert!((Duration::from_secs(13)..Duration::from_secs(18)).contains(&taken), "{taken:?}");
    assert_eq!(server.lease.lock().unwrap()["spec"]["leaseTransitions"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_the_next_look() {
    let server = Server::new();
    let mut one = stand(&server, "one");
    until(&mut one, true).await;
    let mut two = stand(&server, "two");
    sleep(Duration::from_secs(5)).await;
    one.lead.release().await;
    assert!(!one.leadership.leads() && !*one.leading.borrow());
    let taken = until(&mut two, true).await;
    assert!(taken <= Duration::from_secs(2), "{taken:?}");
    assert_eq!(server.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_calls_hang_stops_before_anybody_else_may_begin() {
    for weather in [Weather::Hang, Weather::Refuse(500), Weather::Refuse(403), Weather::Refuse(429)] {
        let (server, start) = (Server::new(), Instant::now());
        let mut one = stand(&server, "one");
        until(&mut one, true).await;
        sleep(Duration::from_secs(7)).await;
        let renewed = one.log.all().last().unwrap().at;
        server.set(weather);
        until(&mut one, false).await;
        assert!(!one.leadership.leads());
        let late = start.elapsed() - renewed;
        assert!(late <= Duration::from_secs(10), "{late:?} after the last renewal began");
        server.set(Weather::Fine);
        assert!(until(&mut one, true).await <= Duration::from_secs(5), "back with the server");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_does_not_lead_when_it_goes_on() {
    let server = Server::new();
    let mut one = stand(&server, "one");
    until(&mut one, true).await;
    // SIGSTOP, 20 s, SIGCONT: no timer has fired yet, no task has run.
    one.clock.jump(Duration::from_secs(20));
    assert!(*one.leading.borrow(), "nothing has run yet");
    assert!(!one.leadership.leads(), "and still no write goes out");
    // Another took the Lease meanwhile: the stopped one finds out and follows.
    {
        let mut lease = server.lease.lock().unwrap();
        lease["spec"]["holderIdentity"] = json!("two");
        lease["metadata"]["resourceVersion"] = json!("77");
    }
    until(&mut one, false).await;
    sleep(Duration::from_secs(10)).await;
    assert!(!one.leadership.leads());
    assert_eq!(server.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let server = Server::new();
    let mut one = stand(&server, "one");
    until(&mut one, true).await;
    // Written, but the answer never came: the version moved on under us.
    server.lease.lock().unwrap()["metadata"]["resourceVersion"] = json!("50");
    for _ in 0..300 {
        sleep(TICK).await;
        assert!(one.leadership.leads() && *one.leading.borrow());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lease_ends_no_election() {
    for nonsense in ["[]", "\"lease\"", "7", "null", r#"{"spec":"x"}"#] {
        let server = Server::new();
        server.set(Weather::Say(nonsense));
        let mut one = stand(&server, "one");
        sleep(Duration::from_secs(5)).await;
        server.set(Weather::Fine);
        sleep(Duration::from_secs(5)).await;
        assert!(until(&mut one, true).await < TICK, "{nonsense}");
        assert_eq!(server.holder(), "one", "{nonsense}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_begin_together_never_lead_together() {
    let server = Server::new();
    let (one, two) = (stand(&server, "one"), stand(&server, "two"));
    let mut led = 0;
    for step in 0..3000 {
        sleep(TICK).await;
        server.set(if step % 400 < 150 { Weather::Hang } else { Weather::Fine });
        let leaders = u32::from(one.leadership.leads()) + u32::from(two.leadership.leads());
        assert!(leaders <= 1, "at {step}");
        led += leaders;
    }
    assert!(led > 1000, "{led}");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_read_every_two_seconds_also_by_who_follows() {
    let server = Server::new();
    let mut one = stand(&server, "one");
    until(&mut one, true).await;
    let two = stand(&server, "two");
    sleep(Duration::from_secs(60)).await;
    for runner in [&one, &two] {
        let count = runner.log.all().len();
        assert!((29..=33).contains(&count), "{count}");
    }
    assert!(two.log.lines().iter().all(|line| line.starts_with("GET ")));
}
