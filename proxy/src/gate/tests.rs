//! Admission under a crowd: many threads, few slots.

use std::sync::atomic::AtomicBool;

use super::*;

const LIMIT: u32 = 2;
const SLOTS: usize = 2;
const THREADS: usize = 8;
const ROUNDS: usize = 1500;

fn gate() -> (Arc<Gate>, Vec<Arc<Slot>>) {
    sample::gate(LIMIT, SLOTS)
}

/// Asks for slots from many threads, some of which leave before they get one. Nobody may wait in vain, and no replica
/// may get more than its limit.
fn crowd(gate: &Arc<Gate>) {
    let uses: Arc<[AtomicU32; SLOTS]> = Arc::default();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (gate, uses) = (gate.clone(), uses.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                for round in 0..ROUNDS {
                    let now = gate.now();
                    let grant = gate.admit(now, round, Terms::default()).or_else(|| {
                        let mut ticket = gate.enter(now, Moment::NEVER, 1, Terms::default()).unwrap();
                        if leaves(round) {
                            return None;
                        }
                        let wait =
                            async { tokio::time::timeout(Duration::from_secs(20), ticket.wait()).await };
                        Some(runtime.block_on(wait).expect("nobody waits in vain").unwrap())
                    });
                    let Some(grant) = grant else { continue };
                    let used = &uses[grant.slot.key as usize];
                    assert!(used.fetch_add(1, Ordering::SeqCst) < LIMIT);
                    std::thread::yield_now();
                    used.fetch_sub(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Every third round or so, without a pattern.
fn leaves(round: usize) -> bool {
    (round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).is_multiple_of(3)
}

fn is_empty(gate: &Gate, slots: &[Arc<Slot>]) {
    assert_eq!(
        (gate.waiting(), gate.waiting_sums().open(), gate.bytes.held.load(Ordering::SeqCst)),
        (0, 0, 0)
    );
    assert!(slots.iter().all(|slot| slot.in_flight() == 0));
}

#[test]
fn whoever_waits_gets_a_slot_by_releases_alone() {
    let (gate, slots) = gate();
    crowd(&gate);
    is_empty(&gate, &slots);
}

#[test]
fn replicas_that_close_and_open_meanwhile_lose_nobody() {
    let (gate, slots) = gate();
    let (done, flapped) = (Arc::new(AtomicBool::new(false)), slots.clone());
    let (settled, ended) = (gate.clone(), done.clone());
    let flapping = std::thread::spawn(move || {
        for slot in flapped.iter().cycle() {
            slot.set_open(false);
            std::thread::yield_now();
            slot.set_open(true);
            settled.settle();
            if ended.load(Ordering::SeqCst) {
                return;
            }
        }
    });
    crowd(&gate);
    done.store(true, Ordering::SeqCst);
    flapping.join().unwrap();
    is_empty(&gate, &slots);
}

#[test]
fn the_last_who_waits_tells_that_nobody_does() {
    let (gate, slots) = gate();
    slots.iter().for_each(|slot| slot.set_open(false));
    let now = gate.now();
    let tickets: Vec<_> =
        (0..3).map(|_| gate.enter(now, Moment::NEVER, 1, Terms::default()).unwrap()).collect();
    assert!(tickets[0].announce);
    let told: Vec<bool> = tickets.into_iter().map(Ticket::leave).collect();
    assert_eq!(told, [false, false, true]);
    is_empty(&gate, &slots);
}

/// The control line hears nothing of those who wake nothing, whoever waits beside them.
#[test]
fn those_who_wake_nothing_wait_unheard_and_not_for_a_start() {
    let (gate, slots) = gate();
    let now = gate.now();
    let no_wake = Terms { no_wake: Some(404), ..Terms::default() };
    let enter = |terms| gate.enter(now, Moment::NEVER, 1, terms);
    let full: Vec<Grant> =
        (0..LIMIT * 2).map(|at| gate.admit(now, at as usize, Terms::default()).unwrap()).collect();
    let (first, second) = (enter(no_wake).unwrap(), enter(no_wake).unwrap());
    assert_eq!((first.announce, gate.waiting(), gate.waiting_sums().open()), (false, 2, 0));
    assert_eq!(gate.has_grown(now), None);
    let loud = enter(Terms::default()).unwrap();
    assert_eq!((loud.announce, gate.waiting(), gate.waiting_sums().open()), (true, 3, 1));
    assert_eq!(gate.has_grown(now), Some(false));
    assert!(!first.leave() && loud.leave(), "it was the last who is heard of");
    assert_eq!((gate.waiting(), gate.has_grown(now)), (1, None));
    slots.iter().for_each(|slot| slot.set_open(false));
    gate.settle();
    assert_eq!(gate.waiting(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut second = second;
    assert_eq!(runtime.block_on(second.wait()).unwrap_err(), Refusal::NoWake(404));
    assert_eq!(enter(no_wake).unwrap_err().refusal, Refusal::NoWake(404));
    assert!(!second.leave());
    drop(full);
    is_empty(&gate, &slots);
}

/// Those who come within ten milliseconds after an announcement and are fewer than twice as many aren't announced by
/// coming: they are found by looking.
#[test]
fn the_last_of_a_burst_are_found_by_looking() {
    let (gate, slots) = gate();
    slots.iter().for_each(|slot| slot.set_open(false));
    let now = gate.now();
    assert_eq!(gate.has_grown(now), None);
    let tickets: Vec<_> =
        (0..7).map(|_| gate.enter(now, Moment::NEVER, 1, Terms::default()).unwrap()).collect();
    let announced: Vec<bool> = tickets.iter().map(|ticket| ticket.announce).collect();
    assert_eq!(announced, [true, true, false, true, false, false, false]);
    assert_eq!(gate.has_grown(now), Some(true));
    assert_eq!(gate.has_grown(now), Some(false));
    assert_eq!(tickets.into_iter().map(Ticket::leave).filter(|told| *told).count(), 1);
    assert_eq!(gate.has_grown(now), None);
    is_empty(&gate, &slots);
}

/// One that is asked for takes a place beyond the limit: if nobody is there any more to take it, it is none of those that are
/// kept to the limit.
#[test]
fn a_place_without_a_limit_goes_to_nobody_who_has_one() {
    let (gate, slots) = sample::gate(1, 1);
    let now = gate.now();
    let enter = |terms| gate.enter(now, Moment::NEVER, 1, terms).unwrap();
    let full = gate.admit(now, 0, Terms::default()).unwrap();
    slots[0].set_open(false);
    let mut gone = enter(Terms { asked: true, ..Terms::default() });
    gone.answer.close();
    let mut next = enter(Terms::default());
    slots[0].set_open(true);
    gate.settle();
    assert_eq!((gate.waiting(), slots[0].in_flight()), (1, 1));
    drop(full);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    drop(runtime.block_on(next.wait()).unwrap());
    drop((gone, next));
    is_empty(&gate, &slots);
}
