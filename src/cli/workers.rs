//! Lists of workers: `all`, `none`, `half`, `w0,w2-w5`.

use thiserror::Error;

/// Why a text names no workers.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// Neither a word nor a list.
    #[error("{0:?} names no workers; write all, none, half, or a list like w0,w2-w5")]
    Form(String),
    /// There is no such worker.
    #[error("there is no worker w{worker}: {threads} thread(s) are w0 to w{}; name fewer, or raise --threads", .threads - 1)]
    NoSuchWorker {
        /// The worker named.
        worker: u32,
        /// How many there are.
        threads: u32,
    },
}

/// Which of `threads` workers (at least one) the list names.
///
/// # Errors
/// It is no list, or names a worker that does not exist.
pub fn parse(list: &str, threads: u32) -> Result<Vec<bool>, ListError> {
    let total = threads as usize;
    let first = |count: usize| (0..total).map(|worker| worker < count).collect();
    match list.trim() {
        "all" => return Ok(first(total)),
        "none" => return Ok(first(0)),
        "half" => return Ok(first(total / 2)),
        _ => {}
    }
    let mut named = vec![false; total];
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = worker(from).zip(worker(to)).ok_or_else(|| ListError::Form(list.to_owned()))?;
        if from > to {
            return Err(ListError::Form(list.to_owned()));
        }
        if to >= threads {
            return Err(ListError::NoSuchWorker { worker: to, threads });
        }
        for named in named.iter_mut().take(to as usize + 1).skip(from as usize) {
            *named = true;
        }
    }
    Ok(named)
}

fn worker(name: &str) -> Option<u32> {
    let digits = name.trim().strip_prefix('w')?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(list: &str, threads: u32) -> Vec<usize> {
        let named = parse(list, threads).unwrap();
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
        assert_eq!(parse("w9", 8), Err(ListError::NoSuchWorker { worker: 9, threads: 8 }));
        assert_eq!(parse("w0-w8", 8), Err(ListError::NoSuchWorker { worker: 8, threads: 8 }));
    }

    #[test]
    fn nonsense_is_an_error() {
        for list in ["", "w", "0", "w0,", "w3-w1", "w0-", "w+1", "w-1", "every", "w0;w1", "w99999999999"] {
            assert_eq!(parse(list, 8), Err(ListError::Form(list.to_owned())), "{list:?}");
        }
    }
}
