//! A turn of the control line: everything that has news or is due is measured, observed, decided, and written down.

use std::collections::BTreeSet;

use kaos_core::average;
use kaos_core::decide::{Memory, Verdict, decide};
use kaos_core::decision::Why;
use kaos_core::load;
use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::snapshot::{Mode, Phase};
use kaos_core::zero::{Ask, Ended, Scene, State};
use kaos_core::{Decision, EndpointUid, HoldId, Moment, Observation, WorkloadId};

use super::Line;
use crate::action::Action;
use crate::collect::Collect;
use crate::journal::Outcome;
use crate::track::{Track, Write};
use crate::untold::awaits;

/// A raise that waits for its share of the start budget.
struct Wish {
    at: usize,
    count: u32,
    memory: Memory,
    seen: Observation,
    verdict: Verdict,
}

impl Line {
    /// Decides for every workload that has news or is due, and returns the writes to make. The result of each is
    /// handed to [`Line::done`].
    pub fn turn(&mut self, now: Moment) -> Vec<Action> {
        let news = self.collect.age(now);
        self.touch(&news);
        let hearing = self.collect.hearing(now);
        if hearing != self.hearing {
            self.hearing = hearing;
            self.touch_all();
        }
        let (mut actions, mut wishes) = (Vec::new(), Vec::new());
        let mut considered = self.take_touched(now);
        // Those who wake others first: whoever wakes with them does so in the same turn.
        let callers = self.companies.callers(&considered);
        for at in &callers {
            self.consider(*at, now, &mut actions, &mut wishes);
        }
        let changed = self.gather();
        // Who was considered already is so again at once.
        self.news.extend(changed.iter().filter(|at| callers.contains(at)));
        considered.extend(changed);
        for at in considered.iter().filter(|at| !callers.contains(at)) {
            self.consider(*at, now, &mut actions, &mut wishes);
        }
        // What was just found ready, or gone, has made room for those who are held back.
        while let Some(at) = self.next_in_line(&considered, wishes.len()) {
            considered.insert(at);
            self.consider(at, now, &mut actions, &mut wishes);
        }
        self.grant(wishes, now, &mut actions);
        actions
    }

    fn take_touched(&mut self, now: Moment) -> BTreeSet<usize> {
        while let Some((moment, at)) = self.due.first().copied().filter(|(moment, _)| *moment <= now) {
            self.due.remove(&(moment, at));
            if let Some(track) = &mut self.tracks[at] {
                track.due = None;
            }
            self.news.insert(at);
        }
        std::mem::take(&mut self.news)
    }

    /// The first of those who are held back and weren't considered yet, if there is room for more than `wish` already.
    fn next_in_line(&self, considered: &BTreeSet<usize>, wish: usize) -> Option<usize> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let mut waiting = self.budget.held_back().filter(|at| !considered.contains(at));
        waiting.next().copied().filter(|_| wish < room)
    }

    /// A workload that is held back although another replica may start. After a turn there is none.
    pub fn neglected(&self) -> Option<&WorkloadId> {
        let track = self.tracks.get(*self.budget.held_back().next()?)?.as_ref()?;
        (self.room() > 0).then_some(&track.workload.id)
    }

    fn room(&self) -> u32 {
        let starting = u32::try_from(self.starting).unwrap_or(u32::MAX);
        self.settings.max_starting.saturating_sub(starting)
    }

    /// One workload: measure, observe, decide, act.
    fn consider(&mut self, at: usize, now: Moment, actions: &mut Vec<Action>, wishes: &mut Vec<Wish>) {
        let Some(track) = self.tracks.get_mut(at).and_then(Option::as_mut) else { return };
        track.age(now);
        let flow = track.measure(&mut self.collect, now);
        let total = self.collect.total(&track.workload.id);
        let mut seen = track.observe(total, self.hearing, self.leading, now);
        let told = self.collect.told();
        if awaits(track.policy(), &mut seen, told, now) {
            self.untold.insert(at);
        }
        track.account(&seen, now);
        track.watch(&seen, (told, flow), now);
        let starting = track.on_their_way(&seen, now);
        self.starting = self.starting - u64::from(track.starting) + u64::from(starting);
        track.starting = starting;
        let before = track.memory.clone();
        let (verdict, memory) = decide(track.policy(), &seen, before.clone(), now);
        track.memory = memory;
        self.calls(at, &seen, &before, now);
        // What is only observed goes nowhere; a hold that was left behind still has to go.
        let acted = match seen.mode {
            Mode::Scale => verdict.decision,
            Mode::Observe(_) | Mode::Off | Mode::Plain => Decision::Stay(Why::Off),
        };
        if self.act(at, &seen, acted, now, actions) {
            let count = verdict.decision.aim(seen.replicas.desired) - seen.replicas.desired;
            wishes.push(Wish { at, count, memory: before, seen, verdict });
        } else {
            self.settle(at, &seen, verdict, before, now);
            self.withdraw(at);
        }
    }

    /// A step of the way down, if there is one to take. Returns whether the count is to go up instead: from zero at
    /// once, whatever hold is left; else when nothing is held.
    fn act(
        &mut self,
        at: usize,
        seen: &Observation,
        decision: Decision,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(track) = &self.tracks[at] else { return false };
        let desired = seen.replicas.desired;
        let gathered = desired == 0 || track.gathering <= now;
        let raise = decision.aim(desired) > desired && track.scale_retry.after <= now && gathered;
        let wake = raise && desired == 0;
        match &track.write {
            None if wake => return true,
            // Who waits for a replica doesn't wait for its answer; a hold that is left is released again after the wake.
            Some(Write::Descent(Ask::Release)) => return wake,
            Some(_) => return false,
            None => {}
        }
        let step = self.descend(at, seen, decision, now);
        let stepped = step.is_some();
        actions.extend(step);
        let held = |track: &Track| *track.descent.state() != State::Serving || track.hold().is_some();
        raise && !stepped && !self.tracks[at].as_ref().is_some_and(held)
    }

    fn withdraw(&mut self, at: usize) {
        if let Some(track) = self.tracks[at].as_mut().filter(|track| track.held_back) {
            track.held_back = false;
            self.budget.withdraw(&at);
        }
    }

    /// The way down, and whatever hold is left to be taken away.
    fn descend(&mut self, at: usize, seen: &Observation, decision: Decision, now: Moment) -> Option<Action> {
        let track = self.tracks.get_mut(at)?.as_mut()?;
        if track.hold_retry.after > now {
            return None;
        }
        let desired = seen.replicas.desired;
        let aim = Some(decision.aim(desired)).filter(|aim| *aim < desired && track.scale_retry.after <= now);
        if aim.is_none() && *track.descent.state() == State::Serving && track.hold().is_none() {
            return None;
        }
        let id = track.workload.id.clone();
        let ready = if aim.is_some_and(|aim| aim > 0) { ready(track, &self.collect) } else { Vec::new() };
        let answers = self.collect.answers(&id);
        let hold = track.hold().cloned();
        let scene = Scene {
            now,
            leading: self.leading,
            aim,
            desired,
            waiting: seen.waiting,
            shown: track.workload.version,
            hold: hold.as_ref(),
            answers: &answers,
            ready: &ready,
            ordered: track.workload.order.is_some(),
        };
        let (settings, holds) = (&self.settings, &mut self.holds);
        let fresh = || {
            *holds += 1;
            (HoldId::new(&format!("{}-{holds}", settings.id)), settings.id.clone())
        };
        let (ask, ended) = track.descent.step(&scene, fresh);
        if let Some(ended) = ended {
            track.book.came(outcome(&ended));
        }
        let ask = ask?;
        let write = Write::Descent(ask);
        let action = write.action(&id);
        track.begin(write, now);
        Some(action)
    }

    /// Shares the start budget among those who want more, and writes what they got.
    fn grant(&mut self, wishes: Vec<Wish>, now: Moment, actions: &mut Vec<Action>) {
        let asked: Vec<(usize, u32)> = wishes.iter().map(|wish| (wish.at, wish.count)).collect();
        let grants = self.budget.share(self.room(), &asked);
        for (mut wish, grant) in wishes.into_iter().zip(grants) {
            let Some(track) = self.tracks.get_mut(wish.at).and_then(Option::as_mut) else { continue };
            track.held_back = grant < wish.count;
            if track.held_back {
                // Decided again with what is allowed, so that the journal's inputs give its decision.
                wish.seen.allowance = Some(grant);
                (wish.verdict, track.memory) = decide(track.policy(), &wish.seen, wish.memory.clone(), now);
            }
            if let Decision::Scale { to, because } = wish.verdict.decision {
                track.learn.raising(because);
                let from = wish.seen.replicas.desired;
                if from == 0 {
                    track.gathering = now + self.settings.gather;
                    track.waking(because, now);
                }
                let expected = Expected::Replicas(from);
                let write = Write::Raise(Scale { to, victims: Vec::new(), expected });
                actions.push(write.action(&track.workload.id));
                track.begin(write, now);
                track.asked_for(grant, now);
                track.starting += grant;
                self.starting += u64::from(grant);
            }
            self.settle(wish.at, &wish.seen, wish.verdict, wish.memory, now);
        }
    }

    /// Writes the decision down and sets when the workload is looked at again.
    fn settle(&mut self, at: usize, seen: &Observation, verdict: Verdict, before: Memory, now: Moment) {
        let Some(track) = self.tracks.get_mut(at).and_then(Option::as_mut) else { return };
        let load = load::told(track.policy(), seen, now);
        track.book.decided(verdict, load, now, || (track.policy().clone(), seen.clone(), before));
        match &track.write {
            Some(Write::Descent(Ask::Hold(_))) => track.book.came(Outcome::Holding),
            Some(Write::Raise(_)) => track.book.came(Outcome::Asked),
            _ => {
                if let (Mode::Observe(why), Decision::Scale { .. }) = (&seen.mode, verdict.decision) {
                    track.book.came(Outcome::Observed(why.clone()));
                }
            }
        }
        let ticks = average::ticks(track.averages.as_ref(), track.policy(), seen, now);
        let tick = ticks.then(|| Moment::from_secs(now.secs() + 1));
        let retries = [track.scale_retry.after, track.hold_retry.after, track.gathering];
        let next = verdict.next.map(|next| next.at);
        let own = self.companies.until(at);
        let later = [next, tick, track.descent.due(), track.ages(), track.late_at(), track.shadow_due(), own];
        let due = later.into_iter().flatten().chain(retries).filter(|due| *due > now).min();
        if track.due != due {
            if let Some(old) = track.due {
                self.due.remove(&(old, at));
            }
            track.due = due;
            self.due.extend(due.map(|due| (due, at)));
        }
    }

    /// The platform answered a write. An answer that didn't come in time is `Failed`.
    pub fn done(&mut self, action: &Action, result: &Result<u64, Refusal>, now: Moment) {
        let Some(at) = self.places.get(action.workload()).copied() else { return };
        let Some(track) = self.tracks[at].as_mut() else { return };
        // A workload that went away and came back has nothing to do with what was asked before.
        let Some(write) = track.write.take_if(|write| write.action(action.workload()) == *action) else {
            return;
        };
        track.wrote(&write, result, now);
        match &write {
            Write::Raise(scale) => {
                let came =
                    result.as_ref().map_or_else(|why| Outcome::Failed(why.to_string()), |_| Outcome::Done);
                track.book.came(came);
                if scale.expected == Expected::Replicas(0) && result.is_ok() {
                    track.book.count(|counts| counts.cold_starts += 1);
                }
            }
            Write::Descent(ask) => {
                if let Some(ended) = track.descent.wrote(ask, result, now) {
                    track.book.came(outcome(&ended));
                }
            }
        }
        self.news.insert(at);
    }
}

/// The ready replicas with what they have in flight, in the order in which they go, if there is one.
fn ready(track: &Track, collect: &Collect) -> Vec<(EndpointUid, u64)> {
    let with = |uid: &EndpointUid| (uid.clone(), collect.in_flight(&track.workload.id, uid));
    if let Some(order) = &track.workload.order {
        return order.iter().map(with).collect();
    }
    let ready = track.workload.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready);
    ready.map(|endpoint| with(&endpoint.uid)).collect()
}

fn outcome(ended: &Ended) -> Outcome {
    let why = match ended {
        Ended::Lowered => return Outcome::Done,
        Ended::Traffic => "a request came".to_owned(),
        Ended::Unwanted => "the decision changed".to_owned(),
        Ended::Unconfirmed => "not every proxy confirmed in time that the replicas are empty".to_owned(),
        Ended::Expired => "a proxy held for longer than it may".to_owned(),
        Ended::Taken => "another autoscaler took the hold away".to_owned(),
        Ended::Refused(refusal) => refusal.to_string(),
    };
    Outcome::Failed(why)
}
