//! How much of a project this process takes into its memory.

/// Largest page of sources: 20,000 tables are about 12 MB.
pub const MAX_LIST: usize = 64 * 1024 * 1024;

/// The largest list of sources that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Largest page, in bytes after decompression.
    pub page: usize,
    /// Most tables of a project.
    pub tables: usize,
}

impl Default for Bounds {
    /// The largest page, and any number of tables: for a command that reads one project and ends.
    fn default() -> Self {
        Self {
            page: MAX_LIST,
            tables: usize::MAX,
        }
    }
}
