//! Which connection an operation uses.
