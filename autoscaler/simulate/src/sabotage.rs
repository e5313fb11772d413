//! Rules broken on purpose, at the seams around the live code: a simulation that doesn't notice proves nothing.

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Proxies are heard to confirm while requests are in flight.
    ConfirmedTooEarly,
    /// The platform writes whatever the precondition says.
    NoPrecondition,
    /// Victims aren't named: the platform takes any replica.
    NoVictims,
    /// Reports of requests that wait aren't heard.
    WaitingUnheard,
    /// Only the leader wakes.
    FollowersSleep,
    /// A proxy that is silent for two seconds counts as gone.
    SilenceIsZero,
    /// Replicas that start are shown as ready: a start isn't finished before the count goes down.
    StartsUnseen,
    /// `max-scale` isn't known.
    MaxUnknown,
    /// `min-scale` isn't known.
    MinUnknown,
    /// The idle time is taken for half as long.
    ImpatientIdle,
    /// Holds aren't taken away.
    HoldsStay,
    /// All holds have the same id.
    HoldsReused,
    /// Proxies obey a hold as long as they see it.
    LeaseForever,
    /// Writes that were given up are done when the platform is back.
    LateWrites,
    /// A proxy's restart isn't noticed: its sums and sequence begin anew in the same epoch.
    EpochsIgnored,
}

impl Sabotage {
    /// Every one.
    pub const ALL: [Sabotage; 15] = [
        Sabotage::ConfirmedTooEarly,
        Sabotage::NoPrecondition,
        Sabotage::NoVictims,
        Sabotage::WaitingUnheard,
        Sabotage::FollowersSleep,
        Sabotage::SilenceIsZero,
        Sabotage::StartsUnseen,
        Sabotage::MaxUnknown,
        Sabotage::MinUnknown,
        Sabotage::ImpatientIdle,
        Sabotage::HoldsStay,
        Sabotage::HoldsReused,
        Sabotage::LeaseForever,
        Sabotage::LateWrites,
        Sabotage::EpochsIgnored,
    ];
}
