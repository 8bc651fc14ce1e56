//! What standard output can show.

use std::io::{self, IsTerminal};

use anstream::AutoStream;
use clap::ColorChoice;
use mailconn::report::Layout;
use terminal_size::{Width, terminal_size_of};

/// The layout of text on standard output: as wide as the terminal, in colour if that is asked for, or if the terminal has it and
/// `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` say nothing else.
pub fn layout(color: ColorChoice) -> Layout {
    let stdout = io::stdout();
    let colored = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
    };
    let is_terminal = stdout.is_terminal();
    let width = is_terminal.then(|| terminal_size_of(&stdout)).flatten();
    let layout = Layout::new(width.map_or(80, |(Width(width), _)| width), colored);
    if is_terminal { layout.on_terminal() } else { layout }
}
