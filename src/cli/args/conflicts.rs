//! Which flags cannot be given together, by what they are declared to be.

use clap::{Arg, Command};

/// Whether one of the two excludes the other: by itself, or because a group that both are in takes one.
pub fn exclude_each_other(command: &Command, one: &Arg, other: &Arg) -> bool {
    let excludes = |one, other: &Arg| command.get_arg_conflicts_with(one).contains(&other);
    let mut groups = command.get_groups().filter(|group| !(*group).clone().is_multiple());
    let share = groups.any(|group| [one, other].iter().all(|arg| group.get_args().any(|id| id == arg.get_id())));
    excludes(one, other) || excludes(other, one) || share && one != other
}
