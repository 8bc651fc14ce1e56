//! Tables of at most 80 columns, whatever their cells hold.

use std::fmt::Write;
use std::ops::RangeInclusive;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// No line of the report is wider.
pub(super) const WIDTH: u16 = 80;
/// A blank at which no line ends.
const GLUE: char = '\u{a0}';
/// The longest word that a column does not break: reasons, modes, how sessions ended.
const WORD: usize = 20;

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
    pub(super) const fn after(mut self, blanks: u16) -> Self {
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
    pub(super) columns: RangeInclusive<usize>,
    pub(super) title: &'static str,
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
    pub(super) fn new(
        title: &'static str,
        columns: impl Into<Vec<Column>>,
        over: impl Into<Vec<Over>>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        let (columns, over, rows) = (columns.into(), over.into(), rows.into_iter().collect());
        Self { title, columns, over, rows, below: String::new() }
    }

    pub(super) fn with(self, below: String) -> Self {
        Self { below, ..self }
    }

    /// As plain text.
    pub(super) fn text(&self) -> String {
        grid(&self.columns, &self.over, self.rows.iter().cloned()) + &self.below
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

/// Rows under headers. A header is one word, so that a title can stand over it.
pub(in crate::report) fn grid(
    columns: &[Column],
    over: &[Over],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    if rows.is_empty() {
        return String::new();
    }
    let whole_words = arranged(columns, &rows, WORD);
    let fits = whole_words.lines().all(|line| line.chars().count() <= usize::from(WIDTH));
    let body = if fits { whole_words } else { arranged(columns, &rows, 0) };
    match body.lines().next().and_then(|header| titles(header, columns.len(), over)) {
        Some(titles) => format!("{titles}\n{body}"),
        None => body,
    }
}

/// A column whose width is known before its first row.
#[derive(Debug)]
pub(super) struct Fixed {
    name: &'static str,
    number: bool,
    /// Without the blanks behind it.
    pub(super) width: usize,
    gap: usize,
}

impl Fixed {
    /// A column of words, at least as wide as its name.
    pub(super) fn words(name: &'static str, width: usize) -> Self {
        Self { name, number: false, width: width.max(name.len()), gap: 2 }
    }

    /// A column of figures: to the right.
    pub(super) fn figures(name: &'static str, width: usize) -> Self {
        Self { name, number: true, width: width.max(name.len()), gap: 1 }
    }

    /// With `blanks` behind it.
    pub(super) const fn gap(mut self, blanks: usize) -> Self {
        self.gap = blanks;
        self
    }

    /// With one blank behind it at most.
    pub(super) fn close(&mut self) {
        self.gap = self.gap.min(1);
    }

    /// With the blanks behind it.
    pub(super) const fn whole(&self) -> usize {
        self.width + self.gap
    }
}

/// The headers of fixed columns, under their titles.
pub(super) fn header(columns: &[Fixed], over: &[Over]) -> String {
    let header = row(columns, columns.iter().map(|column| column.name.to_owned()).collect());
    match titles(header.trim_end(), columns.len(), over) {
        Some(titles) => format!("{titles}\n{header}"),
        None => header,
    }
}

/// A row in fixed columns. A cell that is too wide moves those behind it if there is room, else it continues in the next
/// line.
pub(super) fn row(columns: &[Fixed], cells: Vec<String>) -> String {
    // The width of ASCII is known without a table.
    if cells.iter().all(|cell| cell.is_ascii()) {
        let mut line = String::with_capacity(usize::from(WIDTH) + 1);
        for (Fixed { number, width, gap, .. }, cell) in columns.iter().zip(&cells) {
            let _ = match number {
                true => write!(line, "{cell:>width$}{:gap$}", ""),
                false => write!(line, "{cell:<width$}{:gap$}", ""),
            };
        }
        line.truncate(line.trim_end().len());
        if line.len() <= usize::from(WIDTH) {
            line.push('\n');
            return line;
        }
    }
    let mut table = bare();
    table.add_row(cells);
    for (column, shape) in columns.iter().zip(table.column_iter_mut()) {
        shape.set_padding((0, u16::try_from(column.gap).unwrap_or_default()));
        shape.set_constraint(ColumnConstraint::Absolute(Width::Fixed(u16::try_from(column.whole()).unwrap_or(WIDTH))));
        if column.number {
            shape.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table)
}

/// The table, in which no word of up to `whole` characters is broken.
fn arranged(columns: &[Column], rows: &[Vec<String>], whole: usize) -> String {
    let longest = |index: usize| {
        let words = rows.iter().filter_map(|row| row.get(index)).flat_map(|cell| cell.split_whitespace());
        words.map(|word| word.chars().count()).filter(|length| *length <= whole).max().unwrap_or(0)
    };
    let mut table = bare();
    table.set_header(columns.iter().map(|column| column.name));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        // Figures stand closer together than words: few of them fill their column.
        let gap = match columns.get(index + 1) {
            None => 0,
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
            let word = u16::try_from(column.name.len().max(longest(index))).unwrap_or(WIDTH);
            shape.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word + gap)));
        }
    }
    trimmed(&table)
}

/// Text behind a label, its later lines under its first.
pub(crate) fn labelled(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut table = bare();
    for (label, text) in rows {
        table.add_row([label, glued(&text)]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, u16::from(index == 0)));
        if index == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    trimmed(&table)
}

/// Text that may need more than one line; the later ones are indented.
pub(crate) fn paragraph(text: &str) -> String {
    let mut table = bare();
    table.add_row([glued(text)]);
    table.set_width(WIDTH - 2);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    trimmed(&table).trim_end().replace('\n', "\n  ") + "\n"
}

/// A line that scripts look for: it is never broken, however long it is.
pub(crate) fn whole(text: &str) -> String {
    format!("{text}\n")
}

/// The text, in which no line ends within a time, such as `1 min 5 s`.
fn glued(text: &str) -> String {
    let mut glued = String::with_capacity(text.len());
    let mut last = "";
    for (index, word) in text.split(' ').enumerate() {
        let is_unit = ["s", "ms", "min"].contains(&word.trim_end_matches(|it: char| it.is_ascii_punctuation()));
        let is_number = |word: &str, at: fn(&str) -> Option<char>| at(word).is_some_and(|it| it.is_ascii_digit());
        let is_inside =
            (is_unit && is_number(last, |it| it.chars().last())) || (last == "min" && is_number(word, |it| it.chars().next()));
        if index > 0 {
            glued.push(if is_inside { GLUE } else { ' ' });
        }
        glued.push_str(word);
        last = word;
    }
    glued
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
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
