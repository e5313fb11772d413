//! The two kinds of objects that are workloads by themselves: what makes pods, and has their count.

use serde::{Deserialize, Serialize};

use crate::rights::{self, Right};

/// What makes a workload's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Controller {
    /// A Deployment.
    #[default]
    Deployment,
    /// A StatefulSet: its pods have ordinals, and the highest goes first.
    StatefulSet,
}

impl Controller {
    /// Its kind; its API version is `apps/v1`.
    pub fn kind(self) -> &'static str {
        match self {
            Controller::Deployment => "Deployment",
            Controller::StatefulSet => "StatefulSet",
        }
    }

    /// Whether it is a Deployment: what a record means that doesn't say.
    pub(crate) fn is_usual(&self) -> bool {
        *self == Controller::Deployment
    }

    /// As paths have it.
    pub fn plural(self) -> &'static str {
        match self {
            Controller::Deployment => "deployments",
            Controller::StatefulSet => "statefulsets",
        }
    }

    /// The right to get one.
    pub(crate) fn get(self) -> Right {
        match self {
            Controller::Deployment => rights::GET_DEPLOYMENT,
            Controller::StatefulSet => rights::GET_STATEFULSET,
        }
    }

    /// The right to get its scale.
    pub(crate) fn get_scale(self) -> Right {
        match self {
            Controller::Deployment => rights::GET_SCALE,
            Controller::StatefulSet => rights::GET_STATEFULSET_SCALE,
        }
    }

    /// The right to change its count.
    pub(crate) fn patch_scale(self) -> Right {
        match self {
            Controller::Deployment => rights::PATCH_SCALE,
            Controller::StatefulSet => rights::PATCH_STATEFULSET_SCALE,
        }
    }

    /// The right to mark it.
    pub(crate) fn patch_status(self) -> Right {
        match self {
            Controller::Deployment => rights::PATCH_STATUS,
            Controller::StatefulSet => rights::PATCH_STATEFULSET_STATUS,
        }
    }
}
