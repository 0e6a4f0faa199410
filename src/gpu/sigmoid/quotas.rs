//! How many background rows are drawn, by how many there are.

use super::spec::GROUPS;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::storage;
use crate::{Error, Result};

/// Rows of a batch with drawn background rows.
const MOST_DRAWN: u64 = 65_536;

/// The label of the buffer.
pub(super) const QUOTAS: &str = "longtail quotas";

/// Room for the quotas of each group.
///
/// # Errors
/// [`Error::Limit`] for batches of too many rows, [`Error::OutOfMemory`], [`Error::Device`].
pub(super) fn quota_buffer(kernels: &Kernels, rows: u64) -> Result<wgpu::Buffer> {
    // One workgroup looks at all of them, some twenty times for each group.
    if rows > MOST_DRAWN {
        return Err(Error::Limit {
            what: "rows of which background rows are drawn".into(),
            needed: rows,
            allowed: MOST_DRAWN,
            cure: "use fewer rows in a batch, or draw them yourself (DrawSource::Given)",
        });
    }
    let (needed, allowed) = (4 * GROUPS.len() as u64 * (rows + 1), kernels.max_binding());
    if needed > allowed {
        return Err(Error::Limit {
            what: "the quotas of drawn rows (bytes in one binding)".into(),
            needed,
            allowed,
            cure: "use fewer rows in a batch",
        });
    }
    kernels.scoped("quotas", || Ok(storage(kernels, QUOTAS, needed)))
}
