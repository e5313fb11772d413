//! How requests of one route are divided by weights.

/// Workloads between which requests are divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The sum of weights up to and with this one, and the index of the workload: `None` for requests that are an error.
    shares: Box<[(u64, Option<usize>)]>,
}

impl Split {
    /// By weights, of which a zero gets nothing.
    pub fn new(weights: impl IntoIterator<Item = (u32, Option<usize>)>) -> Self {
        let mut sum = 0;
        let shares = weights.into_iter().filter(|(weight, _)| *weight > 0).map(|(weight, workload)| {
            sum += u64::from(weight);
            (sum, workload)
        });
        Split { shares: shares.collect() }
    }

    /// The share of `number`: numbers that are spread evenly over their 64 bits are divided by the weights.
    pub fn pick(&self, number: u64) -> Option<usize> {
        let (sum, _) = self.shares.last()?;
        let at = (u128::from(number) * u128::from(*sum)) >> 64;
        let place = self.shares.partition_point(|(upto, _)| u128::from(*upto) <= at);
        self.shares.get(place)?.1
    }

    /// The workloads' indices.
    pub fn workloads(&self) -> impl Iterator<Item = usize> {
        self.shares.iter().filter_map(|(_, workload)| *workload)
    }
}
