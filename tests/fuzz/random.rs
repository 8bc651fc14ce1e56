//! Everything random in an input: its own stream of numbers, and what spoils it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::grammar::HUGE;

/// Numbers that depend on a seed and the number of an input alone. They are ChaCha's, which are defined; what a general
/// generator gives for a seed changes with its versions.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn of(seed: u64, input: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut numbers = ChaCha8Rng::from_seed(key);
        numbers.set_stream(input);
        Self(numbers)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u64::from(self.0.next_u32()) * end as u64;
        usize::try_from(wide >> 32).unwrap()
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const STRANGE: [&[u8]; 32] = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\xff",
    b"\x80",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\x1b[31m",
    b"\x7f",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"\\\"",
    b"(",
    b")",
    b"((((((((",
    b"[",
    b"]",
    b"<",
    b">",
    b"{",
    b"}",
    b"{5}\r\n",
    b"{5+}\r\n",
    b"*",
    b"%",
    b"=?utf-8?q?=ff?=",
    b".\r\n",
    b"NIL",
];

/// What parsers nest by.
const NESTING: [&[u8]; 7] = [b"(", b")", b"(a ", b"NOT ", b"OR ALL ", b"[", b"<"];

/// Spoils the bytes in one to four ways; `other` is what may be spliced in.
pub fn spoil(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(16) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(80)).min(other.len());
                bytes.splice(at..to, other[from..until].iter().copied());
            }
            4 if at < to => bytes[at] ^= 1 << random.below(8),
            5 if at < to => bytes[at] = random.byte(),
            6 => {
                let end = bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| at + end + 1);
                let line = bytes[at..end].to_vec();
                bytes.splice(at..at, line);
            }
            7 => replace_number(random, bytes, at),
            8 if random.one_in(6) => {
                let nested = random.pick(&NESTING).repeat(1 + random.below(3000));
                bytes.splice(at..at, nested);
            }
            9 if random.one_in(40) => {
                let many = vec![*random.pick(b"x \\\xff"); 4000 + random.below(70_000)];
                bytes.splice(at..at, many);
            }
            10 => bytes[at..to].iter_mut().filter(|byte| byte.is_ascii_alphabetic()).for_each(|byte| *byte ^= 0x20),
            _ => {
                bytes.splice(at..at, random.pick(&STRANGE).iter().copied());
            }
        }
    }
}

/// The first number from there on becomes another.
fn replace_number(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    if let Some(begins) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) {
        let ends =
            bytes[begins..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |end| begins + end);
        bytes.splice(begins..ends, random.pick(&HUGE).bytes());
    }
}
