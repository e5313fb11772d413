//! Where the rules of an HTTPRoute lead, and what becomes of their requests: read once for all hosts that it is attached for.

use kaos_core::WorkloadId;
use kaos_core::condition::Over;
use kaos_core::host::HostPattern;
use kaos_core::rule::{Redirect, Rewrite, Rule};

use crate::gateway::{BackendRef, HttpRoute, Match, NewPath, Redirection, RouteRule};
use crate::nginx::Limits;
use crate::note::Kind;
use crate::object::{Name, Target};
use crate::plan::{Goal, Plan};
use crate::serve::{Adopted, target};
use crate::state::State;
use crate::wire::line;

/// The rules of one route.
pub(crate) struct Onward<'a> {
    route: &'a HttpRoute,
    /// Of each rule.
    goals: Vec<Goal>,
    /// What is wrong with a backend: the reason of the condition, and a sentence.
    pub(crate) unresolved: Option<(&'static str, String)>,
    pub(crate) notes: Vec<(Kind, String)>,
}

/// Reads where the rules of `route`, of this name, lead.
pub(crate) fn read<'a>(
    state: &State,
    adopted: &Adopted<'_>,
    name: &Name,
    route: &'a HttpRoute,
) -> Onward<'a> {
    let mut onward = Onward { route, goals: Vec::new(), unresolved: None, notes: Vec::new() };
    for rule in &route.rules {
        let shares: Vec<(u32, Option<WorkloadId>)> = rule
            .backends
            .iter()
            .map(|given| (given.weight, onward.backend(state, adopted, name, given)))
            .collect();
        onward.goals.push(goal(shares));
    }
    onward
}

fn goal(mut shares: Vec<(u32, Option<WorkloadId>)>) -> Goal {
    shares.retain(|(weight, _)| *weight > 0);
    match shares.as_mut_slice() {
        [] => Goal::Nowhere,
        [(_, one)] => one.take().map_or(Goal::Nowhere, Goal::To),
        _ => Goal::Among(shares.into()),
    }
}

impl Onward<'_> {
    /// The workload of a backend; `None`: there is none, and it is said why.
    fn backend(
        &mut self,
        state: &State,
        adopted: &Adopted<'_>,
        name: &Name,
        given: &BackendRef,
    ) -> Option<WorkloadId> {
        let to = &given.to;
        let (group, kind) =
            (to.group.as_deref().unwrap_or_default(), to.kind.as_deref().unwrap_or("Service"));
        let at: Name = (to.namespace.as_ref().unwrap_or(&name.0).clone(), to.name.clone());
        let found = if (group, kind) != ("", "Service") {
            Err(("InvalidKind", format!("its backend {} {} is no Service", line(kind), line(&at.1))))
        } else if !state.gateways.grant("HTTPRoute", &name.0, ("", "Service"), &at) {
            let text = format!(
                "its backend Service {}/{}: no ReferenceGrant there allows it",
                line(&at.0),
                line(&at.1)
            );
            Err(("RefNotPermitted", text))
        } else if let Some(port) = given.port {
            target(state, adopted, &at.0, &at.1, &Target::Number(port))
                .map_err(|text| ("BackendNotFound", text))
        } else {
            Err(("BackendNotFound", format!("its backend Service {}: a port is missing", line(&at.1))))
        };
        match found {
            Ok((id, past)) => {
                self.notes.extend(past.map(|text| (Kind::Limited, text)));
                Some(id)
            }
            Err((reason, text)) => {
                let text = format!("{text}: its requests are answered 500");
                self.unresolved.get_or_insert((reason, text));
                None
            }
        }
    }

    /// Its routes on `host` for requests that come so, by this port.
    pub(crate) fn plans(&self, host: &HostPattern, over: Over, port: u16) -> impl Iterator<Item = Plan> {
        let rules = self.route.rules.iter().zip(&self.goals);
        rules.flat_map(move |(rule, goal)| {
            rule.matches.iter().map(move |asked| Plan {
                host: host.clone(),
                matching: asked.matching,
                path: asked.path.clone(),
                pattern: None,
                over,
                when: asked.when.clone(),
                goal: if rule.redirect.is_some() { Goal::Nowhere } else { goal.clone() },
                rule: done(rule, asked, port),
                limits: Limits::default(),
                fallback: false,
            })
        })
    }
}

/// What is done with the requests of a rule that were matched so and come by this port.
fn done(rule: &RouteRule, asked: &Match, port: u16) -> Rule {
    Rule {
        rewrite: rule.path.as_ref().map(|path| rewrite(path, asked)),
        host: rule.host.as_deref().map(str::to_owned),
        redirect: rule.redirect.as_ref().map(|given| redirect(given, asked, port)),
        request: rule.request.clone(),
        response: rule.response.clone(),
        ..Rule::default()
    }
}

fn rewrite(path: &NewPath, asked: &Match) -> Rewrite {
    match path {
        NewPath::Whole(path) => Rewrite::Whole(path.to_string()),
        NewPath::Prefix(by) => {
            Rewrite::Prefix { length: asked.matching.normal(&asked.path).len(), by: by.to_string() }
        }
    }
}

fn redirect(given: &Redirection, asked: &Match, port: u16) -> Redirect {
    Redirect {
        status: given.status,
        https: given.https,
        host: given.host.as_deref().map(str::to_owned),
        port: given.port,
        listener: Some(port),
        path: given.path.as_ref().map(|path| rewrite(path, asked)),
    }
}
