//! What it costs to come by a thread's own connection: no network, nobody else wants it.
//!
//! There are more threads than cores, so the measure is CPU time, each thread's own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mailconn::allocator::{Client, Connector, Mode, SessionId};
use nix::time::{ClockId, clock_gettime};

/// How many threads lease at once.
pub const THREADS: [usize; 3] = [1, 8, 1000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Lease,
    R2d2,
    CachedMutex,
}

impl Row {
    pub const ALL: [Self; 3] = [Self::Lease, Self::R2d2, Self::CachedMutex];

    /// Turns of all threads together.
    const fn turns(self) -> usize {
        match self {
            Self::Lease => 2_000_000,
            Self::R2d2 => 500_000,
            Self::CachedMutex => 4_000_000,
        }
    }
}

/// Nanoseconds for each row, number of threads and repetition.
#[derive(Default)]
pub struct Figures([[Vec<f64>; THREADS.len()]; Row::ALL.len()]);

impl Figures {
    pub fn of(&self, row: Row, threads: usize) -> &[f64] {
        let row = Row::ALL.iter().position(|other| *other == row).unwrap_or_default();
        &self.0[row][THREADS.iter().position(|other| *other == threads).unwrap_or_default()]
    }

    /// Measures everything once more.
    pub fn round(&mut self, repetition: usize, shorter: u32) -> Result<()> {
        for (column, threads) in THREADS.into_iter().enumerate() {
            for turn in 0..Row::ALL.len() {
                let place = (turn + repetition) % Row::ALL.len();
                let turns = Row::ALL[place].turns() / shorter as usize / threads;
                let took = match Row::ALL[place] {
                    Row::Lease => lease(threads, turns)?,
                    Row::R2d2 => r2d2(threads, turns)?,
                    Row::CachedMutex => cached_mutex(threads, turns)?,
                };
                self.0[place][column].push(took);
            }
        }
        Ok(())
    }
}

/// Connections that cost nothing.
struct InMemory;

impl Connector for InMemory {
    type Connection = u64;
    type Error = Infallible;

    fn connect(&self, _: SessionId) -> Result<u64, Infallible> {
        Ok(0)
    }
}

impl r2d2::ManageConnection for InMemory {
    type Connection = u64;
    type Error = Infallible;

    fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

fn lease(threads: usize, turns: usize) -> Result<f64> {
    let client = Client::builder(InMemory).mode(Mode::UseDefault).build();
    let took = nanoseconds(threads, turns, || {
        *black_box(&mut *client.lease()?) += 1;
        Ok(())
    });
    client.close(Instant::now() + Duration::from_secs(5));
    took
}

fn r2d2(threads: usize, turns: usize) -> Result<f64> {
    let size = u32::try_from(threads)?;
    let pool = r2d2::Pool::builder().max_size(size).test_on_check_out(false).build(InMemory)?;
    nanoseconds(threads, turns, || {
        *black_box(&mut *pool.get()?) += 1;
        Ok(())
    })
}

thread_local! {
    static CACHED: RefCell<Option<Arc<Mutex<u64>>>> = const { RefCell::new(None) };
}

fn cached_mutex(threads: usize, turns: usize) -> Result<f64> {
    nanoseconds(threads, turns, || {
        CACHED.with_borrow_mut(|cached| {
            let mutex = cached.get_or_insert_default();
            *black_box(&mut *mutex.lock().unwrap_or_else(PoisonError::into_inner)) += 1;
        });
        Ok(())
    })
}

/// CPU time of a turn, over all threads.
fn nanoseconds(threads: usize, turns: usize, turn: impl Fn() -> Result<()> + Sync) -> Result<f64> {
    let ready = Barrier::new(threads);
    let work = || -> Result<f64> {
        turn()?;
        turn()?;
        ready.wait();
        let before = cpu_of_this_thread()?;
        for _ in 0..turns {
            turn()?;
        }
        let took = cpu_of_this_thread()?.saturating_sub(before);
        // Nobody gives its connection up while others still lease.
        ready.wait();
        Ok(took.as_secs_f64() * 1e9)
    };
    let total = thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|_| thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, work))
            .collect::<Result<_, _>>()?;
        spawned
            .into_iter()
            .try_fold(0.0, |sum, thread| Ok(sum + thread.join().map_err(|_| anyhow!("a thread panicked"))??))
    });
    total.map(|total: f64| total / (threads * turns) as f64)
}

fn cpu_of_this_thread() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
