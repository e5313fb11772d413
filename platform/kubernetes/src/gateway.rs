//! What is kept of Gateway API's objects (<https://gateway-api.sigs.k8s.io/reference/spec/>): classes, Gateways, HTTPRoutes and
//! grants.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kaos_core::condition::Condition;
use kaos_core::route::Matching;
use kaos_core::rule::Edits;

use crate::kept::{Kept, Stated};
use crate::object::{Name, Pairs};
use crate::wire::gateway::{GrantFrom, GrantTo, ObjectRef, ParentRef};

/// What a GatewayClass names as its controller when Kaos serves its Gateways.
pub const CONTROLLER: &str = "kaos.dev/gateway";

/// The group of all of them.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

/// The label that the API server gives each Namespace: its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A GatewayClass whose controller is Kaos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayClass {
    /// It names parameters, of which there are none.
    pub(crate) has_parameters: bool,
}

/// A Gateway, whoever serves it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gateway {
    pub(crate) class: Box<str>,
    pub(crate) listeners: Box<[Listener]>,
    /// The addresses that it asks for: type and value.
    pub(crate) addresses: Box<[(Box<str>, Box<str>)]>,
    /// What Kaos doesn't have: why it isn't served.
    pub(crate) refused: Option<Box<str>>,
    pub(crate) has_parameters: bool,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listener {
    pub(crate) name: Box<str>,
    /// As it is written; empty for every host.
    pub(crate) host: Box<str>,
    pub(crate) port: i32,
    pub(crate) protocol: Box<str>,
    pub(crate) certificates: Box<[ObjectRef]>,
    /// What Kaos doesn't have: why it isn't served.
    pub(crate) refused: Option<Box<str>>,
    pub(crate) from: TakesFrom,
    /// Whether HTTPRoutes may be attached.
    pub(crate) takes_http_routes: bool,
    /// A kind of routes that there isn't, which it names.
    pub(crate) unknown_kind: Option<Box<str>>,
}

/// The namespaces whose routes may be attached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TakesFrom {
    Same,
    All,
    Selected(Box<LabelSelector>),
    /// Of none.
    None,
}

/// An HTTPRoute, whomever it is attached to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpRoute {
    pub(crate) parents: Box<[ParentRef]>,
    /// As they are written; none: those of the listeners.
    pub(crate) hosts: Box<[Box<str>]>,
    pub(crate) rules: Box<[RouteRule]>,
    /// What Kaos doesn't have: why nothing of the route is done.
    pub(crate) refused: Option<Box<str>>,
}

/// One rule of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteRule {
    pub(crate) matches: Box<[Match]>,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
    pub(crate) redirect: Option<Redirection>,
    /// What backends are told as `Host`.
    pub(crate) host: Option<Box<str>>,
    pub(crate) path: Option<NewPath>,
    pub(crate) backends: Box<[BackendRef]>,
}

/// What requests a rule is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Match {
    pub(crate) matching: Matching,
    pub(crate) path: Box<str>,
    /// `None`: no more than that.
    pub(crate) when: Option<Box<Condition>>,
}

/// Where clients are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirection {
    pub(crate) https: Option<bool>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<NewPath>,
    pub(crate) status: u16,
}

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NewPath {
    Whole(Box<str>),
    /// This comes in the place of the prefix that was matched.
    Prefix(Box<str>),
}

/// A backend of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendRef {
    pub(crate) to: ObjectRef,
    pub(crate) port: Option<u16>,
    pub(crate) weight: u32,
}

/// Who may refer to what in a grant's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) from: Box<[GrantFrom]>,
    pub(crate) to: Box<[GrantTo]>,
}

/// The labels of a Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Space(pub(crate) Pairs);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    /// Gateways of this class, and no others, whatever is known of it.
    pub(crate) only: Option<Box<str>>,
    pub(crate) classes: Kept<Stated<GatewayClass>>,
    pub(crate) all: Kept<Stated<Gateway>>,
    pub(crate) routes: Kept<Stated<HttpRoute>>,
    pub(crate) grants: Kept<Grant>,
    pub(crate) spaces: Kept<Space>,
}

impl Gateways {
    /// Whether there is a class of Kaos's: only then anything else is worth to be known.
    pub(crate) fn are_wanted(&self) -> bool {
        self.only.is_some() || !self.classes.is_empty()
    }

    /// Whether Gateways of this class are Kaos's to serve.
    pub(crate) fn serve(&self, class: &str) -> bool {
        match &self.only {
            Some(only) => **only == *class,
            None => {
                let class = self.classes.get(&(Box::default(), class.into()));
                class.is_some_and(|class| !class.object.has_parameters)
            }
        }
    }

    /// Whether `from`, a kind of the group in a namespace, may refer to `to` in another.
    pub(crate) fn grant(&self, from: &str, namespace: &str, to: (&str, &str), at: &Name) -> bool {
        if namespace == &*at.0 {
            return true;
        }
        self.grants.of(&at.0).any(|grant| {
            let is_from = |known: &GrantFrom| {
                (&*known.group, &*known.kind, &*known.namespace) == (GROUP, from, namespace)
            };
            let is_to = |known: &GrantTo| {
                let named = known.name.as_deref().filter(|name| !name.is_empty());
                (&*known.group, &*known.kind) == to && named.is_none_or(|name| name == &*at.1)
            };
            grant.from.iter().any(is_from) && grant.to.iter().any(is_to)
        })
    }

    /// Whether `listener`, of a Gateway in the namespace `own`, takes routes of `namespace`.
    pub(crate) fn takes(&self, listener: &Listener, own: &str, namespace: &str) -> bool {
        match &listener.from {
            TakesFrom::All => true,
            TakesFrom::Same => own == namespace,
            TakesFrom::Selected(selector) => self.selects(selector, namespace),
            TakesFrom::None => false,
        }
    }

    fn selects(&self, selector: &LabelSelector, namespace: &str) -> bool {
        let space = self.spaces.get(&(Box::default(), namespace.into()));
        let label = |name: &str| {
            let labels = space.map(|space| &*space.0).unwrap_or_default();
            let known = labels.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value);
            known.or_else(|| (name == NAME_LABEL).then_some(namespace))
        };
        let mut labels = selector.match_labels.iter().flatten();
        let mut expressions = selector.match_expressions.iter().flatten();
        labels.all(|(name, value)| label(name) == Some(value.as_str()))
            && expressions.all(|asked| {
                let has = label(&asked.key);
                let among = || has.is_some_and(|has| asked.values.iter().flatten().any(|value| value == has));
                match asked.operator.as_str() {
                    "In" => among(),
                    "NotIn" => !among(),
                    "Exists" => has.is_some(),
                    "DoesNotExist" => has.is_none(),
                    _ => false,
                }
            })
    }
}
