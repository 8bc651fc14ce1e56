//! Text for people: how wide its lines are, whatever its cells hold, and what stands out in colour.
//!
//! Colour is put on when the lines stand, so it moves nothing; and no meaning is in colour alone.

use std::fmt::Write;
use std::ops::RangeInclusive;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::words::printable;

/// A blank at which no line ends.
const GLUE: char = '\u{a0}';
/// The longest word that a column does not break: reasons, modes, how sessions ended; and where that leaves too little room.
const WORDS: [usize; 3] = [20, 12, 8];

/// How text for people is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// No line is wider, but for those that scripts look for, and tables whose figures take more.
    width: u16,
    colored: bool,
    /// Nobody looks for a line there, and each is as wide as the others.
    on_terminal: bool,
}

impl Layout {
    /// 80 columns without colour: for files, pipes and scripts.
    pub const PLAIN: Self = Self { width: 80, colored: false, on_terminal: false };

    /// Each line as long as it is: for what breaks lines itself, or shows them whole.
    pub(in crate::report) const UNBROKEN: Self = Self { width: u16::MAX, ..Self::PLAIN };

    /// As wide as a terminal, within 60 to 200 columns.
    #[must_use]
    pub fn new(width: u16, colored: bool) -> Self {
        Self { width: width.clamp(60, 200), colored, on_terminal: false }
    }

    /// The same on a terminal, where people read and no script does.
    #[must_use]
    pub const fn on_terminal(self) -> Self {
        Self { on_terminal: true, ..self }
    }

    /// The most columns of a line.
    pub(in crate::report) fn width(self) -> usize {
        self.width.into()
    }

    /// The text, each of its lines in that tone.
    pub(crate) fn toned(self, tone: Tone, text: &str) -> String {
        if !self.colored || tone == Tone::Plain {
            return text.to_owned();
        }
        let style = tone.style();
        let lines = text.split_inclusive('\n').map(|line| match line.trim_end_matches('\n') {
            "" => line.to_owned(),
            words => line.replacen(words, &format!("{style}{words}{style:#}"), 1),
        });
        lines.collect()
    }

    /// The line that says what a report is of.
    pub(crate) fn origin(self, text: &str) -> String {
        self.toned(Tone::Name, &self.paragraph(&printable(text)))
    }

    /// Rows under headers. A header is one word, so that a title can stand over it.
    pub(in crate::report) fn grid(
        self,
        columns: &[Column],
        over: &[Over],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> String {
        let rows: Vec<Vec<String>> = rows.into_iter().collect();
        if rows.is_empty() {
            return String::new();
        }
        let fits = |text: &String| text.lines().all(|line| line.width() <= self.width());
        let arranged = WORDS.iter().map(|word| self.arranged(columns, &rows, *word));
        let body = { arranged }.find(fits).unwrap_or_else(|| self.arranged(columns, &rows, 0));
        let (header, body) = body.split_once('\n').unwrap_or((&body, ""));
        let titles = titles(header, columns.len(), over).map_or_else(String::new, |titles| titles + "\n");
        self.toned(Tone::Name, &format!("{titles}{header}\n")) + body
    }

    /// The headers of fixed columns, under their titles.
    pub(in crate::report) fn header(self, columns: &[Fixed], over: &[Over]) -> String {
        let header = self.row(columns, columns.iter().map(|column| column.name.to_owned()).collect());
        let titles = titles(header.trim_end(), columns.len(), over).map_or_else(String::new, |titles| titles + "\n");
        self.toned(Tone::Name, &format!("{titles}{header}"))
    }

    /// A row in fixed columns. A cell that is too wide moves those behind it if there is room, else it continues in the next
    /// line.
    pub(in crate::report) fn row(self, columns: &[Fixed], cells: Vec<String>) -> String {
        // The width of ASCII is known without a table.
        if cells.iter().all(|cell| cell.is_ascii()) {
            let mut line = String::with_capacity(self.width() + 1);
            for (Fixed { number, width, gap, .. }, cell) in columns.iter().zip(&cells) {
                let _ = match number {
                    true => write!(line, "{cell:>width$}{:gap$}", ""),
                    false => write!(line, "{cell:<width$}{:gap$}", ""),
                };
            }
            line.truncate(line.trim_end().len());
            if line.len() <= self.width() {
                line.push('\n');
                return line;
            }
        }
        let mut table = self.bare();
        table.add_row(cells);
        for (column, shape) in columns.iter().zip(table.column_iter_mut()) {
            shape.set_padding((0, u16::try_from(column.gap).unwrap_or_default()));
            let width = u16::try_from(column.whole()).unwrap_or(self.width);
            shape.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            if column.number {
                shape.set_cell_alignment(CellAlignment::Right);
            }
        }
        trimmed(&table)
    }

    /// The table, in which no word of up to `whole` columns is broken.
    fn arranged(self, columns: &[Column], rows: &[Vec<String>], whole: usize) -> String {
        let longest = |index: usize| {
            let words = rows.iter().filter_map(|row| row.get(index)).flat_map(|cell| cell.split_whitespace());
            words.map(UnicodeWidthStr::width).filter(|width| *width <= whole).max().unwrap_or(0)
        };
        let mut table = self.bare();
        table.set_header(columns.iter().map(|column| column.name));
        for row in rows {
            table.add_row(row);
        }
        for (index, column) in columns.iter().enumerate() {
            // Figures stand closer together than words: few of them fill their column.
            let gap = match columns.get(index + 1) {
                None => 0,
                // As narrow as it can be.
                Some(next) if whole == 0 => {
                    if next.blanks.is_some() {
                        2
                    } else {
                        1
                    }
                }
                Some(next) => next.blanks.unwrap_or(if column.number && next.number { 1 } else { 2 }),
            };
            let Some(shape) = table.column_mut(index) else { continue };
            shape.set_padding((0, gap));
            if column.number {
                shape.set_cell_alignment(CellAlignment::Right);
            }
            if column.whole {
                shape.set_constraint(ColumnConstraint::ContentWidth);
            } else {
                let word = u16::try_from(column.name.len().max(longest(index))).unwrap_or(self.width);
                shape.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word + gap)));
            }
        }
        trimmed(&table)
    }

    /// Text behind a label, its later lines under its first.
    pub fn labelled(self, rows: impl IntoIterator<Item = (String, String)>) -> String {
        self.marked(rows.into_iter().map(|(label, text)| (Tone::Plain, label, text)))
    }

    /// Text behind a label in that tone, its later lines under its first.
    pub(crate) fn marked(self, rows: impl IntoIterator<Item = (Tone, String, String)>) -> String {
        let mut table = self.bare();
        let mut labels = Vec::new();
        for (tone, label, text) in rows {
            table.add_row([&label, &glued(&text)]);
            labels.push((tone, label));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, u16::from(index == 0)));
            if index == 0 {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let text = trimmed(&table);
        let mut labels = labels.iter().peekable();
        // A row's later lines begin with blanks, where its label was.
        let lines = text.split_inclusive('\n').map(|line| {
            let label = labels.next_if(|(_, label)| line.starts_with(label.trim_end()));
            match label.map(|(tone, label)| (tone, label.trim_end())) {
                Some((tone, label)) => self.toned(*tone, label) + &line[label.len()..],
                None => line.to_owned(),
            }
        });
        lines.collect()
    }

    /// Text that may need more than one line; the later ones are indented.
    pub(crate) fn paragraph(self, text: &str) -> String {
        let mut table = self.bare();
        table.add_row([glued(text)]);
        table.set_width(self.width - 2);
        if let Some(column) = table.column_mut(0) {
            column.set_padding((0, 0));
        }
        trimmed(&table).trim_end().replace('\n', "\n  ") + "\n"
    }

    /// A line that scripts look for: it is broken on a terminal alone, however long it is.
    pub(crate) fn whole(self, text: &str) -> String {
        if self.on_terminal { self.paragraph(text) } else { format!("{text}\n") }
    }

    fn bare(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width);
        table
    }
}

/// What stands out, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It failed, or does not hold: red.
    Bad,
    /// A finding, or what cannot be told: yellow.
    Odd,
    /// It held: green.
    Good,
    /// A name that the rest is about: dim.
    Name,
    /// As all else.
    Plain,
}

impl Tone {
    /// Good if it holds, else bad.
    pub(crate) const fn of(holds: bool) -> Self {
        if holds { Self::Good } else { Self::Bad }
    }

    const fn style(self) -> Style {
        match self {
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Odd => AnsiColor::Yellow.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Name => Style::new().dimmed(),
            Self::Plain => Style::new(),
        }
    }
}

/// A column: its header, and whether it wraps when a row is too wide.
pub(in crate::report) struct Column {
    name: &'static str,
    number: bool,
    /// Its words are names, and it does not wrap.
    whole: bool,
    /// Blanks before it, if not the usual number.
    blanks: Option<u16>,
}

impl Column {
    /// The first column of a group, with `blanks` before it.
    pub(in crate::report) const fn after(mut self, blanks: u16) -> Self {
        self.blanks = Some(blanks);
        self
    }
}

/// A column of words: it wraps when there is no room.
pub(in crate::report) const fn words(name: &'static str) -> Column {
    Column { name, number: false, whole: false, blanks: None }
}

/// A column of names: to the left, and never broken.
pub(in crate::report) const fn names(name: &'static str) -> Column {
    Column { name, number: false, whole: true, blanks: None }
}

/// A column of figures: to the right, and never broken.
pub(in crate::report) const fn figures(name: &'static str) -> Column {
    Column { name, number: true, whole: true, blanks: None }
}

/// A title over several columns: their subject and unit.
pub(in crate::report) struct Over {
    pub(in crate::report) columns: RangeInclusive<usize>,
    pub(in crate::report) title: &'static str,
}

/// Rows under headers, and what is to be said below them.
pub(in crate::report) struct Sheet {
    /// What the rows are.
    pub(in crate::report) title: &'static str,
    columns: Vec<Column>,
    over: Vec<Over>,
    /// The rows, each with a cell for each column.
    pub(in crate::report) rows: Vec<Vec<String>>,
    /// Paragraphs and labelled lines, laid out.
    pub(in crate::report) below: String,
}

impl Sheet {
    pub(in crate::report) fn new(
        title: &'static str,
        columns: impl Into<Vec<Column>>,
        over: impl Into<Vec<Over>>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        let (columns, over, rows) = (columns.into(), over.into(), rows.into_iter().collect());
        Self { title, columns, over, rows, below: String::new() }
    }

    pub(in crate::report) fn with(self, below: String) -> Self {
        Self { below, ..self }
    }

    /// As text.
    pub(in crate::report) fn text(&self, layout: Layout) -> String {
        layout.grid(&self.columns, &self.over, self.rows.iter().cloned()) + &self.below
    }

    /// The name of each column, with the title over it, and whether it is of figures.
    pub(in crate::report) fn headers(&self) -> impl Iterator<Item = (String, bool)> {
        self.columns.iter().enumerate().map(|(at, column)| {
            let over = self.over.iter().find(|over| over.columns.contains(&at));
            let name = column.name.replace('-', " ");
            (over.map_or(name.clone(), |over| format!("{}, {name}", over.title)), column.number)
        })
    }
}

/// A column whose width is known before its first row.
#[derive(Debug)]
pub(in crate::report) struct Fixed {
    name: &'static str,
    number: bool,
    /// Without the blanks behind it.
    pub(in crate::report) width: usize,
    gap: usize,
}

impl Fixed {
    /// A column of words, at least as wide as its name.
    pub(in crate::report) fn words(name: &'static str, width: usize) -> Self {
        Self { name, number: false, width: width.max(name.len()), gap: 2 }
    }

    /// A column of figures: to the right.
    pub(in crate::report) fn figures(name: &'static str, width: usize) -> Self {
        Self { name, number: true, width: width.max(name.len()), gap: 1 }
    }

    /// With `blanks` behind it.
    pub(in crate::report) const fn gap(mut self, blanks: usize) -> Self {
        self.gap = blanks;
        self
    }

    /// With one blank behind it at most.
    pub(in crate::report) fn close(&mut self) {
        self.gap = self.gap.min(1);
    }

    /// With the blanks behind it.
    pub(in crate::report) const fn whole(&self) -> usize {
        self.width + self.gap
    }
}

/// The text, in which no line ends within a time, such as `1 min 5 s`.
fn glued(text: &str) -> String {
    let mut glued = String::with_capacity(text.len());
    let mut last = "";
    for (index, word) in text.split(' ').enumerate() {
        let is_unit = ["s", "ms", "min"].contains(&word.trim_end_matches(|it: char| it.is_ascii_punctuation()));
        let is_number = |word: &str, at: fn(&str) -> Option<char>| at(word).is_some_and(|it| it.is_ascii_digit());
        let is_inside = (is_unit && is_number(last, |it| it.chars().last()))
            || (last == "min" && is_number(word, |it| it.chars().next()));
        if index > 0 {
            glued.push(if is_inside { GLUE } else { ' ' });
        }
        glued.push_str(word);
        last = word;
    }
    glued
}

fn trimmed(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(&line.trim_end().replace(GLUE, " "));
        text.push('\n');
    }
    text
}

/// The line over the headers: each title ends where its last column does.
fn titles(header: &str, columns: usize, over: &[Over]) -> Option<String> {
    let ends: Vec<usize> = header
        .char_indices()
        .filter(|&(at, character)| {
            character != ' ' && header[at + character.len_utf8()..].chars().next().is_none_or(|next| next == ' ')
        })
        .map(|(at, _)| at + 1)
        .collect();
    if over.is_empty() || ends.len() != columns {
        return None;
    }
    let mut line = String::new();
    for over in over {
        let end = *ends.get(*over.columns.end())?;
        let width = end.saturating_sub(line.len());
        line.push_str(&format!("{:>width$}", over.title));
    }
    Some(line)
}
