//! What happened in a schedule, as counts.

/// Things that a share of all schedules has to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A hold was taken away and nothing had been lowered.
    HoldCancelled,
    /// A report never arrived.
    ReportLost,
    /// A process was replaced while a hold was in force.
    RestartInHold,
    /// A start failed.
    FailedStart,
    /// Leadership moved.
    Failover,
    /// Somebody else wrote a count.
    ForeignWrite,
    /// A replica was started before anybody asked.
    Prewarmed,
    /// An autoscaler began with what another had learned.
    Recalled,
    /// A replica was started with another workload's.
    Together,
}

impl Kind {
    /// Every one.
    pub const ALL: [Kind; 9] = [
        Kind::HoldCancelled,
        Kind::ReportLost,
        Kind::RestartInHold,
        Kind::FailedStart,
        Kind::Failover,
        Kind::ForeignWrite,
        Kind::Prewarmed,
        Kind::Recalled,
        Kind::Together,
    ];
}

/// Counts of one schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events.
    pub events: u64,
    /// Requests that came.
    pub requests: u64,
    /// Requests that had to wait.
    pub waited: u64,
    /// Requests that ran to their end.
    pub served: u64,
    /// Requests that waited for longer than they may.
    pub late: u64,
    /// Requests that were told that starts fail.
    pub failed: u64,
    /// Writes that autoscalers sent.
    pub writes: u64,
    /// Writes that weren't done, as far as the caller knows.
    pub refused: u64,
    /// Counts that went to zero.
    pub zeros: u64,
    /// Counts that went down, but not to zero.
    pub lowered: u64,
    /// Times that the platform was away.
    pub outages: u64,
    /// Writes by somebody else.
    pub foreign: u64,
    /// Which kinds of things happened.
    pub kinds: [bool; 9],
}

impl Tally {
    pub(crate) fn mark(&mut self, kind: Kind) {
        self.kinds[kind as usize] = true;
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        self.events += other.events;
        self.requests += other.requests;
        self.waited += other.waited;
        self.served += other.served;
        self.late += other.late;
        self.failed += other.failed;
        self.writes += other.writes;
        self.refused += other.refused;
        self.zeros += other.zeros;
        self.lowered += other.lowered;
        self.outages += other.outages;
        self.foreign += other.foreign;
    }

    /// Whether `kind` happened.
    pub fn has(&self, kind: Kind) -> bool {
        self.kinds[kind as usize]
    }
}
