//! Which mail connection does each operation use, why, and at what cost?

pub mod allocator;
pub mod protocol;
pub mod record;
pub mod report;
pub mod sandbox;
pub mod workload;
