//! `--variant`: the ways to run that are compared, and their names.

use anyhow::{Context, Result, anyhow, ensure};

use crate::cli::args::{Common, VariantArgs};
use crate::cli::stderr::escaped;
use mailconn::allocator::Mode;

/// More would need more rounds than anybody waits for.
const MOST: usize = 6;
/// The longest name, in bytes: each line of the stream has it, and a column of the report.
const NAME: usize = 40;
/// The modes, in the order in which they are compared where nothing else is.
const MODES: [Mode; 3] = [Mode::UseMain, Mode::UseDefault, Mode::UseMainOrDefault];

/// A way to run.
pub struct Variant {
    /// Its name, which no other has.
    pub name: String,
    /// As it was given, without its name.
    pub arguments: String,
    /// What that means.
    pub args: VariantArgs,
}

/// The variants that were given, on top of what all share; none: the three modes.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn all(given: &[String], common: &Common) -> Result<Vec<Variant>> {
    ensure!(
        !(given.is_empty() && common.has("mode")),
        "--mode: the three modes are compared; to compare something else, name each with --variant"
    );
    let modes: Vec<String> = MODES.map(|mode| mode.name().to_owned()).to_vec();
    let given = if given.is_empty() { &modes } else { given };
    ensure!(
        given.len() >= 2,
        "a comparison takes two variants at least: give another --variant, the same once more to see what chance does"
    );
    ensure!(given.len() <= MOST, "{} variants are too many for one comparison; give at most {MOST}", given.len());
    let read = given.iter().map(|text| Read::of(text, common).with_context(|| format!("--variant {text:?}")));
    let read = read.collect::<Result<Vec<_>>>()?;
    let mut named: Vec<(Read, String)> = Vec::new();
    let own: Vec<Option<String>> = read.iter().map(|it| it.name.clone()).collect();
    for (at, name) in own.iter().enumerate() {
        ensure!(
            name.is_none() || !own[..at].contains(name),
            "--variant: two are called {}; give one another name",
            name.as_deref().unwrap_or_default()
        );
    }
    let unnamed: Vec<(Mode, Vec<String>)> =
        read.iter().filter(|it| it.name.is_none()).map(|it| (it.args.work.mode, it.flags.clone())).collect();
    for one in read {
        let alike: Vec<&Vec<String>> =
            unnamed.iter().filter(|(mode, _)| *mode == one.args.work.mode).map(|(_, flags)| flags).collect();
        let name = one.name.clone().unwrap_or_else(|| {
            let name = one.by_its_flags(&alike);
            let is_taken = |name: &str| {
                own.iter().flatten().any(|own| own == name) || named.iter().any(|(_, taken)| taken == name)
            };
            let others = (2..).map(|number| format!("{name}-{number}"));
            std::iter::once(name.clone()).chain(others).find(|name| !is_taken(name)).unwrap_or_default()
        });
        named.push((one, name));
    }
    let variant = |(read, name): (Read, String)| Variant { name, arguments: read.arguments, args: read.args };
    Ok(named.into_iter().map(variant).collect())
}

/// A variant as it was given.
struct Read {
    /// Its own name, if it has one.
    name: Option<String>,
    arguments: String,
    /// Its flags behind the mode, each with its value.
    flags: Vec<String>,
    args: VariantArgs,
}

impl Read {
    fn of(text: &str, common: &Common) -> Result<Self> {
        let (name, arguments) = match text.split_once('=') {
            Some((name, rest)) if !name.contains(|c: char| c.is_whitespace()) && !name.starts_with('-') => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                ensure!(
                    !name.is_empty() && name.len() <= NAME && name.chars().all(is_name),
                    "a name is made of letters, digits, - and _, {NAME} at most"
                );
                (Some(name.to_owned()), rest.trim())
            }
            _ => (None, text.trim()),
        };
        ensure!(!arguments.contains(|c: char| c.is_control()), "it holds a control character");
        let mut words = shlex::split(arguments).context("a quote is not closed")?;
        let has_mode = words.first().is_some_and(|word| !word.starts_with('-'));
        ensure!(
            !(has_mode && words.iter().any(|word| word == "--mode" || word.starts_with("--mode="))),
            "its mode is the first word; leave --mode out"
        );
        let mut flags: Vec<String> = Vec::new();
        for word in words.iter().skip(usize::from(has_mode)) {
            match flags.last_mut().filter(|_| !word.starts_with('-')) {
                Some(flag) => flag.extend([" ", word]),
                None => flags.push(word.clone()),
            }
        }
        if has_mode {
            words[0] = format!("--mode={}", words[0]);
        }
        let args = VariantArgs::on_top_of(common, &words).map_err(|error| anyhow!(in_one_line(&error)))?;
        if let Some(name) = &name {
            let is_another = |it: &Mode| it.name() == name && *it != args.work.mode;
            ensure!(
                !MODES.iter().any(is_another),
                "{name} is a mode, and this one's is {}; give it another name",
                args.work.mode
            );
        }
        Ok(Self { name, arguments: arguments.to_owned(), flags, args })
    }

    /// The mode, and what tells it from those that are alike in that, as their flags say: `use-default-t-4`.
    fn by_its_flags(&self, alike: &[&Vec<String>]) -> String {
        let mut name = self.args.work.mode.name().to_owned();
        let is_shared = |flag: &&String| alike.iter().all(|flags| flags.contains(flag));
        let flags = self.flags.iter().filter(|flag| !is_shared(flag)).cloned().collect::<Vec<_>>().join(" ");
        for word in flags.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            // The number of another one of that name has room behind it.
            if name.len() + 1 + word.len() > NAME - 2 {
                break;
            }
            name.push('-');
            name.push_str(word);
        }
        name
    }
}

/// What clap says, in one line.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or(&text);
    let said = said.split("\n\nFor more information").next().unwrap_or(said);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    escaped(said.strip_prefix("error: ").unwrap_or(&said))
}
