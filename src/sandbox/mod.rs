//! The mail server in the box.
