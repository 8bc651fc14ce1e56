//! What is told of a probe.
