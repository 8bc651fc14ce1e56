//! Settings beside the command line: `MAILCONN_*` in the environment, and a file of named servers and defaults.
//!
//! A setting is called like its flag. Each one that counts becomes a word of the command line, in front of those that were
//! typed, so that the flag's own parser checks it. A typed flag counts before the environment, the environment before
//! the server of the file, that before the defaults of the file. A setting is left out if it excludes one that counts
//! before it, or if the server or the command has no use for it.

mod context;
mod file;
mod keys;
mod setting;
pub mod told;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::args::{Cli, exclude_each_other};
use context::Context;
use file::ConfigFile;
use keys::{SERVER, key, settable, takes_settings, variable};
use setting::{Setting, Source};

/// A command line with what is configured.
pub struct Invocation {
    /// As it was typed, with what counts besides in front of it.
    words: Vec<OsString>,
    /// The server that was typed by its name, and its address.
    named: Option<(String, Setting)>,
    /// What counts besides.
    applied: Vec<Setting>,
    /// What does not count, because something else does, or because the server or the command has no use for it.
    unused: Vec<Setting>,
    /// What the file says; nothing where the command takes no settings.
    file: ConfigFile,
}

impl Invocation {
    /// Reads the environment and the file, for a command that takes settings.
    ///
    /// # Errors
    /// One of them is not understood: one line, which says where.
    pub fn new(typed: Vec<OsString>) -> Result<Self> {
        let mut whole = Cli::command();
        whole.build();
        let typed = by_place(typed, &whole);
        // A request for help is an error of its own, and needs no settings. Others are told by `parse`.
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(&typed).ok();
        let found = matches.as_ref().and_then(ArgMatches::subcommand);
        let found = found.and_then(|(name, given)| Some((whole.find_subcommand(name)?, given)));
        match found.filter(|(command, _)| takes_settings(command)) {
            Some((command, given)) => Self::of_command(typed, command, given),
            None => Ok(Self {
                words: typed,
                named: None,
                applied: Vec::new(),
                unused: Vec::new(),
                file: ConfigFile::default(),
            }),
        }
    }

    fn of_command(words: Vec<OsString>, command: &Command, matches: &ArgMatches) -> Result<Self> {
        let file = ConfigFile::read(matches.get_one::<PathBuf>("config").map(PathBuf::as_path))?;
        let typed = Typed::new(command, matches);
        let mut layers = [environment(command), Vec::new(), file.defaults.clone()];
        let named = typed.named_server(&file, &mut layers)?;
        let context = Context::new(command, |of| match &named {
            Some((_, address)) if of == SERVER => vec![address.all()],
            _ => {
                let configured = layers.iter().flatten().filter(|it| it.key == of).map(Setting::all);
                typed.text(of).into_iter().chain(configured).collect()
            }
        });
        let mut invocation = Self { words, named, applied: Vec::new(), unused: Vec::new(), file };
        invocation.add(layers, &context, typed.args)?;
        Ok(invocation)
    }

    /// Adds to what was typed, to `counting`, what counts of the layers; the first counts most.
    fn add<'a>(&mut self, layers: [Vec<Setting>; 3], context: &Context<'a>, mut counting: Vec<&'a Arg>) -> Result<()> {
        let command = context.command;
        let mut settled = counting.clone();
        let mut words = Vec::new();
        for layer in layers {
            let before = counting.clone();
            for setting in layer {
                let Some(arg) = settable(command).find(|arg| key(arg) == Some(&setting.key)) else { continue };
                // A key belongs to the certificate that stands beside it.
                let is_of_other = |it: &Arg| it.get_id() == "client_cert" && arg.get_id() == "client_key";
                let gives_way = before.iter().any(|it| exclude_each_other(command, it, arg) || is_of_other(it));
                if settled.contains(&arg) || gives_way || !context.has_a_use_for(arg, &setting) {
                    self.unused.push(setting);
                    continue;
                }
                let setting = setting.placed(arg);
                let own = setting.words(arg)?;
                settled.push(arg);
                // A flag that is turned off excludes none.
                if !own.is_empty() {
                    counting.push(arg);
                }
                words.extend(own);
                self.applied.push(setting);
            }
        }
        let behind = position_of_command(&self.words).map_or(self.words.len(), |at| at + 1);
        self.words.splice(behind..behind, words);
        Ok(())
    }

    /// Parses it.
    ///
    /// # Errors
    /// Those of clap; or help or the version was asked for.
    pub fn parse(&self) -> Result<Cli, Error> {
        let mut command = Cli::command();
        if let Some((name, address)) = &self.named
            && let Some(subcommand) = position_of_command(&self.words).and_then(|at| self.words[at].to_str())
        {
            let (name, address) = (name.clone(), address.all());
            let resolve =
                move |text: &str| Ok::<_, Error>(if text == name { address.clone() } else { text.to_owned() });
            command = command.mut_subcommand(subcommand, |command| {
                let id = command.get_arguments().find(|arg| key(arg) == Some(SERVER)).map(|arg| arg.get_id().clone());
                match id {
                    Some(id) => command.mut_arg(id, |arg| arg.value_parser(resolve)),
                    None => command,
                }
            });
        }
        let mut matches = command.try_get_matches_from_mut(&self.words)?;
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// Every word of it, and the address that a name stands for.
    pub fn words(&self) -> Vec<String> {
        let address = self.named.iter().map(|(_, address)| address.all());
        self.words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).chain(address).collect()
    }

    /// A complaint about flags, with the places where those that it names are configured.
    pub fn with_sources(&self, complaint: &str) -> String {
        let (mut said, mut places) = (complaint, Vec::new());
        for setting in self.named.iter().map(|(_, address)| address).chain(&self.applied) {
            let flag = format!("--{}", setting.key);
            let labels = [Some(&*flag), (setting.key == SERVER).then_some("URL")];
            let begins = labels.into_iter().flatten().find_map(|label| said.strip_prefix(label)?.strip_prefix(": "));
            if begins.is_some() || mentions(said, &flag) {
                said = begins.unwrap_or(said);
                let place = setting.source.to_string();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        if places.is_empty() { said.to_owned() } else { format!("{}: {said}", places.join(", ")) }
    }
}

/// What was typed, as far as it is understood.
struct Typed<'a> {
    matches: &'a ArgMatches,
    args: Vec<&'a Arg>,
}

impl<'a> Typed<'a> {
    fn new(command: &'a Command, matches: &'a ArgMatches) -> Self {
        let is_typed = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        Self { matches, args: command.get_arguments().filter(is_typed).collect() }
    }

    fn arg(&self, of: &str) -> Option<&'a Arg> {
        self.args.iter().copied().find(|arg| key(arg) == Some(of))
    }

    fn text(&self, of: &str) -> Option<String> {
        let values = self.matches.get_raw(self.arg(of)?.get_id().as_str())?.map(OsStr::to_string_lossy);
        Some(values.collect::<Vec<_>>().join(" "))
    }

    /// Has the settings of the server that is named by @NAME between the other layers. Its name and its address, if it was
    /// typed.
    fn named_server(&self, file: &ConfigFile, layers: &mut [Vec<Setting>; 3]) -> Result<Option<(String, Setting)>> {
        let typed = self.text(SERVER);
        let configured = layers.iter().flatten().find(|setting| setting.key == SERVER);
        let (text, by) = match (&typed, configured) {
            (Some(text), _) => {
                let by_place = self.arg(SERVER).is_some_and(Arg::is_positional);
                (text.clone(), if by_place { "URL".to_owned() } else { "--server".to_owned() })
            }
            (None, Some(setting)) => (setting.text()?.into_owned(), setting.source.to_string()),
            (None, None) => return Ok(None),
        };
        let Some(name) = text.strip_prefix('@') else { return Ok(None) };
        let settings = file.server(name).with_context(|| format!("{by} {text}"))?;
        layers.iter_mut().for_each(|layer| layer.retain(|setting| setting.key != SERVER));
        layers[1] = settings.to_vec();
        let address = typed.and_then(|_| layers[1].iter().position(|setting| setting.key == SERVER));
        Ok(address.map(|at| (text, layers[1].remove(at))))
    }
}

/// Whether the flag is named there, and not only one whose name begins so.
fn mentions(text: &str, flag: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-');
    text.match_indices(flag).any(|(at, _)| ends(&text[at + flag.len()..]))
}

/// Where the subcommand stands, or what was to be one. Before it only --config takes a value.
pub fn position_of_command(words: &[OsString]) -> Option<usize> {
    let mut words = words.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        match word.to_str() {
            Some("--config") => drop(words.next()),
            Some(flag) if flag.starts_with('-') => {}
            _ => return Some(at),
        }
    }
    None
}

/// Turns `--server URL` into `URL`, for a command that takes the server without a flag. People know the flag from the others.
fn by_place(mut words: Vec<OsString>, whole: &Command) -> Vec<OsString> {
    let found = position_of_command(&words);
    let command = found.and_then(|at| whole.find_subcommand(&words[at]));
    if command.is_some_and(|command| command.get_arguments().any(|arg| arg.is_positional() && key(arg) == Some(SERVER)))
    {
        let is_url = |word: &OsString| !word.as_encoded_bytes().starts_with(b"-");
        let with = |word: &OsString| word.to_str()?.strip_prefix("--server=").map(OsString::from);
        if let Some(at) = words.iter().position(|word| with(word).is_some()) {
            words.splice(at..=at, with(&words[at]));
        } else if let Some(at) = words.windows(2).position(|two| two[0] == "--server" && is_url(&two[1])) {
            words.remove(at);
        }
    }
    words
}

/// What the environment sets for that command. An empty variable sets nothing.
fn environment(command: &Command) -> Vec<Setting> {
    let found = settable(command).filter_map(|arg| {
        let key = key(arg)?;
        let name = variable(key);
        let value = env::var_os(&name).filter(|value| !value.is_empty())?;
        Some(Setting { key: key.to_owned(), values: vec![value], source: Source::Environment(name) })
    });
    found.collect()
}
