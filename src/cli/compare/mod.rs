//! `mailconn compare`: several ways to run, in rounds, and which is better.

mod beforehand;
mod told;
mod variants;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::anonymize::Anonymize;
use super::args::{CompareArgs, ServerArgs, VariantArgs};
use super::destinations::destinations;
use super::harness::{Driven, Signals};
use super::limits::PACE;
use super::providers::ensure_agreed;
use super::settings::{self, Reach, Reporting, Server};
use super::stderr;
use super::teller::Teller;
use super::work::Work;
use beforehand::ensure_possible;
use mailconn::compare::{Allowance, Budget, Halt, Needs, Rounds, Turn, conduct, rounds_of, why_stop};
use mailconn::event::{
    self, Asked, ComparisonEnding, ComparisonStart, Event, Micros, Policy, RunOf, SCHEMA_VERSION, Stopped, Variant,
    WARM_UP, WhyStopped, Within,
};
use mailconn::judge::{Comparison, compared_metric, comparison_gate, gated_figures};
use mailconn::protocol::{EhloName, Endpoint, MayDial};
use mailconn::report::{ComparisonReport, Layout, ProgressKind, Told};
use mailconn::sandbox::Maildrops;
use mailconn::workload::{self, Control, Plan};
use told::{Course, tell_budget, tell_unmeasured};

/// The usual length of a run: within it a slow variant does fewer operations.
const USUAL: Duration = Duration::from_secs(2);

/// Compares, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be run, or the report could not be written: one line.
pub fn compare(args: CompareArgs, layout: Layout) -> Result<u8> {
    let all = Compared::resolve(args, layout)?;
    ensure_possible(&all)?;
    if let Some(way) = all.ways.first() {
        ensure_agreed(&way.server, all.agreed, "many sign-ins")?;
    }
    let Compared { start, rounds, ways, terms, reporting, policy, progress, .. } = all.signed_in()?;
    for way in &ways {
        way.work.room().make(&terms.reach(way, None))?;
        way.work.letters(way.server.endpoint(), "")?;
    }
    if let Some(way) = ways.first() {
        way.server.warn();
    }
    let budget = asked_of(&ways, &rounds);
    if let Some((budget, endpoint)) = &budget {
        tell_budget(budget, endpoint);
    }
    let allowance = budget.as_ref().map(|(budget, _)| Allowance::of(budget.most));
    if let Some(note) = ways.iter().find_map(|way| way.work.note.as_ref()) {
        stderr::complain(note);
    }
    let signals = Signals::listen()?;
    let teller = Teller::begin(reporting, &signals.control)?;
    let course = Course::of(progress, rounds.rounds, ways.len(), rounds.bound);
    let (start, clock) =
        (ComparisonStart { started: event::to_the_microsecond(SystemTime::now()), ..start }, Instant::now());
    let most_sign_ins = budget.map(|(budget, _)| budget.most);
    let start = ComparisonStart { most_sign_ins, ..start };
    let comparison = Comparison::new(start.clone());
    let mut under_way = UnderWay { clock, comparison, ways, terms, allowance, policy, teller, course, unwritten: None };
    under_way.tell(0, Micros::ZERO, Box::new(start).into());
    let halt = conduct(&rounds, &signals.control, |turn| under_way.run(turn, &signals.control))?;
    let ending = under_way.ending(halt, clock.elapsed().into(), &signals.control);
    under_way.end(ending, &signals)
}

/// What is asked of a server that is not its own, and where that is.
fn asked_of(ways: &[Way], rounds: &Rounds) -> Option<(Budget, Endpoint)> {
    let Server::Real { endpoint, .. } = &ways.first()?.server else { return None };
    let needs: Vec<Needs> = ways.iter().map(|way| way.work.needs()).collect();
    Some((Budget::of(rounds.rounds, rounds.pace, &needs), endpoint.clone()))
}

/// What is compared, resolved.
struct Compared {
    start: ComparisonStart,
    rounds: Rounds,
    ways: Vec<Way>,
    terms: Terms,
    reporting: Reporting,
    policy: Policy,
    progress: ProgressKind,
    /// What looks unusual to a provider was agreed to.
    agreed: bool,
}

/// A variant: what it does, and to whom.
struct Way {
    name: String,
    work: Work,
    server: Server,
}

/// What all runs have in common.
struct Terms {
    args: ServerArgs,
    ehlo: EhloName,
    transcripts: Option<std::path::PathBuf>,
}

impl Terms {
    /// How that variant reaches its server in its next run.
    fn reach(&self, way: &Way, may_dial: Option<MayDial>) -> Reach {
        Reach {
            server: way.server.again(),
            ehlo: self.ehlo.clone(),
            connect_timeout: settings::connect_timeout(&self.args, way.server.protocol()),
            operation_timeout: self.args.timeout,
            wait_timeout: way.work.wait_timeout,
            max_connections: way.work.max_connections,
            may_dial,
            transcripts: self.transcripts.clone(),
            maildrops: Maildrops::Locked,
        }
    }
}

impl Compared {
    /// Resolves the flags and the environment.
    fn resolve(args: CompareArgs, layout: Layout) -> Result<Self> {
        let CompareArgs { reach, reporting: told, .. } = &args;
        let all = variants::all(&args.variants, &args.common)?;
        let possible = rounds_of(all.len());
        ensure!(
            args.rounds >= *possible.start(),
            "--rounds {} decides nothing between {} variants, however they differ; give at least {}",
            args.rounds,
            all.len(),
            possible.start()
        );
        ensure!(
            args.rounds <= *possible.end(),
            "--rounds {} is more than anybody waits for; give at most {}",
            args.rounds,
            possible.end()
        );
        let metric = compared_metric(&args.metric).map_err(|error| anyhow!("--metric: {error}"))?;
        let seed = args.seed.unwrap_or_else(Work::new_seed);
        let (mut ways, mut variants) = (Vec::new(), Vec::new());
        for variants::Variant { name, arguments, args: VariantArgs { work, shape } } in all {
            let reach = ServerArgs { shape, ..reach.clone() };
            let whose = || format!("variant {name}");
            let server = settings::unsigned(args.server.as_deref(), "--server", &reach)?;
            let work = Work::resolve(&work, Some(seed), Asked::Duration(USUAL.into()), &server).with_context(whose)?;
            settings::only_where_they_matter(&reach, server.protocol()).with_context(whose)?;
            variants.push(Variant { name: name.clone(), arguments });
            ways.push(Way { name, work, server });
        }
        let reference = reference(args.reference.as_deref(), &variants)?;
        let gates = told.gates.written()?;
        for gate in &gates {
            comparison_gate(gate, &variants, &reference).with_context(|| format!("{gate:?}"))?;
        }
        let policy = Policy {
            fail_on: settings::fail_on(&told.fail_on)?,
            gates,
            require_decision: args.require_decision,
            ..Policy::NONE
        };
        let anonymize = Anonymize::of(told.output.anonymize, &told.transcripts)?;
        let destinations = destinations(&told.output, layout)?;
        let reporting = Reporting { destinations, each: false, anonymize: anonymize.clone() };
        let ehlo = settings::ehlo(reach)?;
        let first = ways.first().context("there is no variant")?;
        let (name, protocol) = (first.server.name(), first.server.protocol());
        let pace = args.pace.unwrap_or(if first.server.is_here() { Duration::ZERO } else { PACE });
        let start = ComparisonStart {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: SystemTime::UNIX_EPOCH,
            server: name,
            protocol,
            figures: gated_figures(&policy.gates, &variants),
            reference,
            rounds: args.rounds,
            seed,
            metric,
            noise: args.noise,
            pace_us: pace.into(),
            bound_us: args.bound.map(Micros::from),
            most_sign_ins: None,
            variants,
        };
        let (start, policy) = anonymous(start, policy, &anonymize)?;
        for (way, variant) in ways.iter_mut().zip(&start.variants) {
            way.name.clone_from(&variant.name);
        }
        let rounds = Rounds { variants: ways.len(), rounds: args.rounds, seed, pace, bound: args.bound };
        let terms = Terms { ehlo, transcripts: args.reporting.transcripts.transcript, args: args.reach };
        Ok(Self { start, rounds, ways, terms, reporting, policy, progress: args.reporting.progress, agreed: args.yes })
    }

    /// With the secret for a real server, which is one for all ways. What is refused asks for none.
    fn signed_in(mut self) -> Result<Self> {
        if let Some(Way { server: server @ Server::Real { .. }, .. }) = self.ways.first() {
            let server = server.again().signed_in(&self.terms.args)?;
            self.ways.iter_mut().for_each(|way| way.server = server.again());
        }
        Ok(self)
    }
}

/// How it begins and what it is judged by, as they are to be told.
fn anonymous(start: ComparisonStart, policy: Policy, anonymize: &Anonymize) -> Result<(ComparisonStart, Policy)> {
    let Some(names) = anonymize.anonymizer() else { return Ok((start, policy)) };
    let begins = Event { seq: 0, at: Micros::ZERO, what: Box::new(start).into() };
    let Some(Event { what: event::What::ComparisonStart(start), .. }) = names.event(Within::default(), &begins) else {
        bail!("the names cannot be replaced; this is a defect of mailconn");
    };
    let gates = policy.gates.iter().map(|gate| names.measure(gate)).collect();
    Ok((*start, Policy { gates, ..policy }))
}

/// The name of the one that the others are compared with.
fn reference(named: Option<&str>, variants: &[Variant]) -> Result<String> {
    let names: Vec<&str> = variants.iter().map(|variant| &*variant.name).collect();
    let reference = named.or(names.first().copied()).unwrap_or_default();
    ensure!(
        names.contains(&reference),
        "--reference {reference}: no variant is called so; there are {}",
        names.join(", ")
    );
    Ok(reference.to_owned())
}

/// A comparison that goes on.
struct UnderWay {
    /// When it began.
    clock: Instant,
    comparison: Comparison,
    ways: Vec<Way>,
    terms: Terms,
    /// The dials that are left to it, where they are counted.
    allowance: Option<Arc<Allowance>>,
    policy: Policy,
    teller: Teller,
    course: Course,
    /// Why the first transcript that is missing is so.
    unwritten: Option<String>,
}

impl UnderWay {
    /// Does a run, and says why nothing may follow it, if so.
    fn run(&mut self, turn: Turn, all: &Control) -> Result<Option<WhyStopped>> {
        let Some(way) = self.ways.get(turn.variant) else { return Ok(Some(WhyStopped::Failed)) };
        if turn.round == WARM_UP + 1 && turn.place == 0 {
            tell_unmeasured(&self.comparison);
        }
        let plan = Plan { seed: turn.seed, ..way.work.plan.clone() };
        let control = Control::of_the_next(all);
        let may_dial = self.allowance.clone().map(|allowance| -> MayDial {
            allowance.is_for(&control);
            Arc::new(move || allowance.take())
        });
        let (mut harness, connector) = way.work.set_up(self.terms.reach(way, may_dial))?;
        harness.by_the_clock_of(self.comparison.start().started, self.clock);
        let run = RunOf { variant: &way.name, round: turn.round };
        let meanwhile = self.course.begins(turn, &way.name, plan.operations(), &control);
        let (within, policy) = (Within { run: Some(run), ..Within::default() }, self.policy.of_a_run());
        let Driven { judge, report, unwritten } =
            harness.drive(&mut self.teller, within, policy, meanwhile, |setup, source, audience| {
                workload::run(&plan, &connector, setup, &control, source, audience)
            })?;
        self.unwritten = self.unwritten.take().or(unwritten);
        self.comparison.add(run, &judge, &report.summary, &report.verdict);
        Ok(why_stop(&report).or_else(|| control.interrupted().is_some().then_some(WhyStopped::Signal)))
    }

    /// How it ended.
    fn ending(&self, halt: Option<Halt>, elapsed: Micros, control: &Control) -> ComparisonEnding {
        let stopped = halt.map(|Halt { why, variant, round }| {
            let variant = variant.and_then(|variant| self.ways.get(variant)).map(|way| way.name.clone());
            Stopped { why, variant, round }
        });
        let by_signal = stopped.as_ref().is_some_and(|stopped| stopped.why == WhyStopped::Signal);
        ComparisonEnding { elapsed, interrupted: control.signal().filter(|_| by_signal), stopped }
    }

    /// Tells of one of its own events.
    fn tell(&mut self, seq: u64, at: Micros, what: event::What) {
        self.teller.see(Within::default(), &[Event { seq, at, what }]);
    }

    /// Reports what it comes to, and says with what code to exit.
    fn end(mut self, ending: ComparisonEnding, signals: &Signals) -> Result<u8> {
        let elapsed = ending.elapsed;
        let report = ComparisonReport::new(self.comparison.clone(), &ending, &self.policy);
        self.tell(1, elapsed, Box::new(report.end.clone()).into());
        let Self { mut teller, course, unwritten, .. } = self;
        course.finish();
        let exit_code = report.end.exit_code;
        teller.over(&Told::Comparison(Box::new(report)));
        let exit_code = signals.code(teller.end()?, exit_code);
        if let Some(failure) = unwritten {
            stderr::complain(&failure);
        }
        let reader_went_away = signals.control.interrupted().is_some() && signals.control.signal().is_none();
        // Then it did not come to its end, and that is no failure.
        Ok(if reader_went_away && matches!(exit_code, 1 | 3 | 129..) { 0 } else { exit_code })
    }
}
