//! Lists of workers or tasks: `all`, `none`, `half`, `w0,w2-w5`.

use thiserror::Error;

/// Who is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `w0`, `w1`, …: as many as there are threads.
    Workers,
    /// `t0`, `t1`, ….
    Tasks,
}

impl Who {
    const fn letter(self) -> char {
        match self {
            Self::Workers => 'w',
            Self::Tasks => 't',
        }
    }

    const fn one(self) -> &'static str {
        match self {
            Self::Workers => "worker",
            Self::Tasks => "task",
        }
    }

    const fn all(self) -> &'static str {
        match self {
            Self::Workers => "thread(s)",
            Self::Tasks => "task(s)",
        }
    }

    const fn flag(self) -> &'static str {
        match self {
            Self::Workers => "--threads",
            Self::Tasks => "--tasks",
        }
    }
}

/// Why a text names nobody.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// Neither a word nor a list.
    #[error("{list:?} names no {}s; write all, none, half, or a list like {letter}0,{letter}2-{letter}5", .who.one(), letter = .who.letter())]
    Form {
        /// Who should be named.
        who: Who,
        /// What was given.
        list: String,
    },
    /// There is no such one.
    #[error(
        "there is no {} {letter}{number}: {total} {} are {letter}0 to {letter}{}; name fewer, or raise {}",
        .who.one(), .who.all(), .total - 1, .who.flag(), letter = .who.letter()
    )]
    Nobody {
        /// Who should be named.
        who: Who,
        /// The number named.
        number: u32,
        /// How many there are.
        total: u32,
    },
}

/// Which of `total` workers or tasks (at least one) the list names.
///
/// # Errors
/// It is no list, or names a worker that does not exist.
pub fn parse(list: &str, who: Who, total: u32) -> Result<Vec<bool>, ListError> {
    let form = || ListError::Form { who, list: list.to_owned() };
    let count = total as usize;
    let first = |named: usize| (0..count).map(|number| number < named).collect();
    match list.trim() {
        "all" => return Ok(first(count)),
        "none" => return Ok(first(0)),
        "half" => return Ok(first(count / 2)),
        _ => {}
    }
    let mut named = vec![false; count];
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = number(who, from).zip(number(who, to)).ok_or_else(form)?;
        if from > to {
            return Err(form());
        }
        if to >= total {
            return Err(ListError::Nobody { who, number: to, total });
        }
        for named in named.iter_mut().take(to as usize + 1).skip(from as usize) {
            *named = true;
        }
    }
    Ok(named)
}

fn number(who: Who, name: &str) -> Option<u32> {
    let digits = name.trim().strip_prefix(who.letter())?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(list: &str, threads: u32) -> Vec<usize> {
        let named = parse(list, Who::Workers, threads).unwrap();
        (0..named.len()).filter(|worker| named[*worker]).collect()
    }

    #[test]
    fn words_and_lists_name_workers() {
        assert_eq!(named("all", 3), [0, 1, 2]);
        assert_eq!(named("none", 3), [0_usize; 0]);
        assert_eq!(named("half", 5), [0, 1]);
        assert_eq!(named("half", 1), [0_usize; 0]);
        assert_eq!(named("w0,w2-w5", 8), [0, 2, 3, 4, 5]);
        assert_eq!(named(" w1 , w1-w1", 2), [1]);
    }

    #[test]
    fn a_worker_that_does_not_exist_is_an_error() {
        let who = Who::Workers;
        assert_eq!(parse("w9", who, 8), Err(ListError::Nobody { who, number: 9, total: 8 }));
        assert_eq!(parse("w0-w8", who, 8), Err(ListError::Nobody { who, number: 8, total: 8 }));
    }

    #[test]
    fn nonsense_is_an_error() {
        for list in ["", "w", "0", "w0,", "w3-w1", "w0-", "w+1", "w-1", "every", "w0;w1", "w99999999999"] {
            let who = Who::Workers;
            assert_eq!(parse(list, who, 8), Err(ListError::Form { who, list: list.to_owned() }), "{list:?}");
        }
    }

    #[test]
    fn tasks_are_named_like_workers() {
        let who = Who::Tasks;
        assert_eq!(parse("t0,t2-t3", who, 4), Ok(vec![true, false, true, true]));
        assert_eq!(parse("w0", who, 4), Err(ListError::Form { who, list: "w0".to_owned() }));
        let error = parse("t4", who, 4).unwrap_err().to_string();
        assert_eq!(error, "there is no task t4: 4 task(s) are t0 to t3; name fewer, or raise --tasks");
    }
}
