//! The policies of others, written again from their published sources and descriptions, and the oracle. Each says how its
//! original behaves where that matters; none is better or worse on purpose.

mod ewma;
mod least;
mod nginx;
mod oracle;
mod prequal;
mod round_robin;
mod spec;

pub use ewma::Ewma;
pub use ewma::Rule;
pub use least::Least;
pub use least::Way;
pub use nginx::LeastTime;
pub use oracle::Oracle;
pub use prequal::Prequal;
pub use round_robin::RoundRobin;
pub use spec::Spec;

/// How a table of numbers is kept: one for each core, or one for each gateway.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// Cores that write to one table.
    pub cores: usize,
}

impl Sharing {
    /// Each core for itself.
    pub fn none() -> Self {
        Self { cores: 1 }
    }

    /// All cores of a gateway together, exactly.
    pub fn among(cores: usize) -> Self {
        Self { cores }
    }

    /// The table of a core.
    fn table(self, core: usize) -> usize {
        core / self.cores
    }
}

/// Grows a list of tables so that it has one at a place.
fn reach<T: Default>(tables: &mut Vec<T>, place: usize) -> &mut T {
    while tables.len() <= place {
        tables.push(T::default());
    }
    &mut tables[place]
}
