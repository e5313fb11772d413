//! Annotations of a workload, a line `name=value` each: what is adopted holds only what its knobs allow, and says so again.
#![no_main]

use kaos_core::annotation::{Reading, read};
use kaos_core::knob::KNOBS;
use kaos_core::policy::Policy;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let all = [("kaos.dev/enabled", "true")].into_iter().chain(pairs);
    match read(all, &Policy::cluster(0)) {
        Reading::Left => {}
        Reading::Invalid(wrong) => assert!(!wrong.is_empty()),
        Reading::Adopted(adoption) => {
            for knob in KNOBS {
                let shown = (knob.show)(&adoption.policy);
                let mut again = Policy::default();
                assert_eq!((knob.set)(&mut again, &shown), Ok(()), "{} = {shown}", knob.name);
                assert_eq!((knob.show)(&again), shown, "{}", knob.name);
            }
        }
    }
});
