//! What is run, and by whom.
