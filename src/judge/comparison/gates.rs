//! Gates of a comparison: `VARIANT.METRIC OPERATOR NUMBER`, about a variant's rounds, `ratio(VARIANT) OPERATOR NUMBER` and
//! `verdict(VARIANT) = DECISION`, about what comes of them.

use serde_json::Number;

use super::Comparison;
use crate::event::{ComparisonVerdict, Decision, Gated, Policy, Variant};
use crate::figures::paired;
use crate::judge::gates::{Gate, Is, NoGate, apart, gated, operator, operators};
use crate::judge::metrics::Reading;

const VERDICT: &str = "verdict(";
const RATIO: &str = "ratio(";
/// What a ratio is counted in.
const TIMES: &str = "x";
/// Either of the decisions that begin so.
const DIFFERENT: &str = "different";

/// A gate, understood.
enum Condition {
    /// It fails if the verdict is one of these, or if it is none of them. A verdict that could not be told decides neither,
    /// unless the gate names that one.
    Verdict { variant: usize, is: bool, among: Vec<Decision> },
    /// It fails if that is so of the ratio of the variant's figure to the reference's.
    Ratio { variant: usize, is: Is, bound: f64 },
    /// It fails if that is so of the variant's figure.
    Figure { variant: usize, gate: Gate },
}

/// Whether a text has the form of a comparison's gate, and not that of a run's.
#[must_use]
pub fn is_of_a_comparison(text: &str) -> bool {
    let mut behind = text.match_indices('.').map(|(dot, _)| &text[dot + 1..]);
    [VERDICT, RATIO].iter().any(|form| text.trim_start().starts_with(form))
        || (!Gate::names_a_metric(text) && behind.any(Gate::names_a_metric))
}

/// Reads a gate of a comparison of those variants.
///
/// # Errors
/// It is none: one line, with the cure.
pub fn comparison_gate(text: &str, variants: &[Variant], reference: &str) -> Result<(), NoGate> {
    match Condition::parse(text, variants)? {
        Condition::Verdict { variant, .. } | Condition::Ratio { variant, .. }
            if variants[variant].name == reference =>
        {
            Err(format!(
                "{reference} is the reference, which the others are compared with: it has no verdict and no ratio"
            )
            .into())
        }
        _ => Ok(()),
    }
}

/// The metrics that those gates are about, each once.
#[must_use]
pub fn gated_figures(gates: &[String], variants: &[Variant]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, name) in gates.iter().filter_map(|gate| gated_figure(gate, variants)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The place of the variant whose figure that gate is about, and the metric; none where it is about a ratio or a verdict.
#[must_use]
pub fn gated_figure(gate: &str, variants: &[Variant]) -> Option<(usize, String)> {
    match Condition::parse(gate, variants) {
        Ok(Condition::Figure { variant, gate }) => Some((variant, gate.name())),
        _ => None,
    }
}

/// Reads the condition of a form, about that variant.
type ReadForm = fn(usize, &str) -> Result<Condition, NoGate>;

/// The variant that a gate of that form names, and its condition.
fn of_form<'a>(form: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (name, condition) = text.trim().strip_prefix(form)?.split_once(')')?;
    Some((name.trim(), condition.trim()))
}

impl Condition {
    fn parse(text: &str, variants: &[Variant]) -> Result<Self, NoGate> {
        let text = text.trim();
        let names = || variants.iter().map(|it| &*it.name).collect::<Vec<_>>().join(", ");
        let unknown = |name: &str| -> NoGate {
            let shown: String = name.chars().take(60).collect();
            format!(
                "there is no variant {shown:?}, but {}; write VARIANT.METRIC OPERATOR NUMBER, like '{}.service.p95 > 100ms', \
                 'ratio(VARIANT) < 1.5', or 'verdict(VARIANT) = different-worse'",
                names(),
                variants.last().map_or("VARIANT", |it| &it.name),
            )
            .into()
        };
        let forms: [(&str, ReadForm); 2] = [(VERDICT, Self::verdict), (RATIO, Self::ratio)];
        for (form, read) in forms {
            if let Some((name, rest)) = of_form(form, text) {
                let variant = variants.iter().position(|it| it.name == name).ok_or_else(|| unknown(name))?;
                return read(variant, rest);
            }
        }
        // Of two names that it begins with, the longer one is meant.
        let begins =
            |(_, it): &(usize, &Variant)| text.strip_prefix(&*it.name).is_some_and(|rest| rest.starts_with('.'));
        let named = variants.iter().enumerate().filter(begins).max_by_key(|(_, it)| it.name.len());
        let Some((variant, name)) = named.map(|(at, it)| (at, &it.name)) else {
            return Err(unknown(text.split(['.', ' ', '<', '>', '=', '!']).next().unwrap_or_default()));
        };
        let gate = Gate::parse(&text[name.len() + 1..])?;
        if gate.compares() {
            return Err("a comparison has no baseline: give the figure itself a bound, or write verdict(VARIANT) = \
                        different-worse"
                .to_owned()
                .into());
        }
        Ok(Self::Figure { variant, gate })
    }

    fn ratio(variant: usize, rest: &str) -> Result<Self, NoGate> {
        let Some((is, bound)) = operator(rest) else {
            return Err(format!(
                "write ratio(VARIANT) OPERATOR NUMBER, like 'ratio(VARIANT) < 1.5'; there are {}",
                operators()
            )
            .into());
        };
        let number = bound.strip_suffix(TIMES).unwrap_or(bound).trim();
        match number.parse::<f64>() {
            Ok(bound) if bound.is_finite() && bound >= 0.0 => Ok(Self::Ratio { variant, is, bound }),
            _ => Err(format!(
                "{bound:?} is no ratio; write a number like 1.5, which is one and a half times the reference"
            )
            .into()),
        }
    }

    fn verdict(variant: usize, rest: &str) -> Result<Self, NoGate> {
        let decisions = || Decision::ALL.map(Decision::name).join(", ");
        let operator = ["!=", "==", "="].into_iter().find(|sign| rest.starts_with(sign));
        let Some(operator) = operator else {
            return Err(format!(
                "write verdict(VARIANT) = DECISION, or != ; decisions are {} and {DIFFERENT}, which is either of the first two",
                decisions()
            )
            .into());
        };
        let name = rest[operator.len()..].trim();
        let is_meant = |it: &Decision| it.name() == name || (name == DIFFERENT && it.name().starts_with(DIFFERENT));
        let among: Vec<Decision> = Decision::ALL.into_iter().filter(is_meant).collect();
        if among.is_empty() {
            return Err(
                format!("there is no verdict {name:?}, but {} and {DIFFERENT}, which is either", decisions()).into()
            );
        }
        Ok(Self::Verdict { variant, is: operator != "!=", among })
    }
}

/// Whether a gate fails of which the rounds tell nothing, and how that is said behind the figure.
fn undecided(why: &str, policy: &Policy) -> (bool, String) {
    match policy.require_decision {
        false => (false, format!(", {why}: this gate is passed over")),
        true => (true, format!(", {why}, and --require-decision is given")),
    }
}

impl Comparison {
    /// What that gate comes to. One that is not understood fails.
    pub(super) fn gate(&self, text: &str, rounds: &[u32], verdicts: &[ComparisonVerdict], policy: &Policy) -> Gated {
        match Condition::parse(text, &self.start.variants) {
            Ok(Condition::Figure { variant, gate }) => {
                let name = gate.name();
                let place = self.start.figures.iter().position(|it| *it == name);
                let unread = &Reading::None("its runs were not read for it".to_owned());
                let readings = rounds.iter().filter_map(|round| self.run(variant, *round));
                let readings = readings.map(|run| place.and_then(|place| run.gated.get(place)).unwrap_or(unread));
                let its = gate.judge_rounds(text, readings);
                Gated { sentence: format!("{}.{}", self.start.variants[variant].name, its.sentence), ..its }
            }
            Ok(Condition::Verdict { variant, is, among }) => {
                let name = &self.start.variants[variant].name;
                let Some(verdict) = verdicts.iter().find(|it| it.variant == *name) else {
                    return gated(text, None, "", true, format!("{text}: {name} is the reference, and has no verdict"));
                };
                let condition = of_form(VERDICT, text).map_or_else(String::new, |(_, condition)| apart(condition));
                let is_open = verdict.decision == Decision::CannotTell && !among.contains(&Decision::CannotTell);
                let (failed, so) = if is_open {
                    undecided("which decides neither way", policy)
                } else {
                    (among.contains(&verdict.decision) == is, String::new())
                };
                let decision = verdict.decision.name();
                gated(text, None, "", failed, format!("verdict({name}) is {decision}{so} (fails if {condition})"))
            }
            Ok(Condition::Ratio { variant, is, bound }) => {
                let name = &self.start.variants[variant].name;
                let condition = of_form(RATIO, text).map_or_else(String::new, |(_, condition)| apart(condition));
                let sentence = |so: &str| format!("ratio({name}){so} (fails if {condition})");
                let verdict = verdicts.iter().find(|it| it.variant == *name);
                let ratio = verdict.and_then(|it| it.ratio.clone());
                let fewest = paired::fewest_rounds(verdicts.len() as u32);
                match verdict.zip(ratio.as_ref().and_then(Number::as_f64)) {
                    Some((it, of)) if it.rounds < fewest => {
                        let of_rounds =
                            if it.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", it.rounds) };
                        let few = format!("of {of_rounds}, too few to decide anything (that takes {fewest})");
                        let (failed, so) = undecided(&few, policy);
                        gated(text, ratio, TIMES, failed, sentence(&format!(" is {of}{TIMES}{so}")))
                    }
                    Some((_, of)) => {
                        let shown = format!(" is {of}{TIMES}");
                        gated(text, ratio, TIMES, is(&of, &bound), sentence(&shown))
                    }
                    None => gated(text, None, TIMES, true, sentence(&format!(": {}", self.no_ratio(variant, rounds)))),
                }
            }
            Err(not) => gated(text, None, "", true, format!("{text}: {not}")),
        }
    }

    /// Why a variant has no ratio.
    fn no_ratio(&self, variant: usize, rounds: &[u32]) -> String {
        let those = [Some(variant), self.reference()].into_iter().flatten();
        match those.into_iter().find_map(|it| self.unmeasured(it, rounds)) {
            Some(why) => why.to_owned(),
            None if rounds.is_empty() => "there was no whole round".to_owned(),
            None if self.reference() == Some(variant) => "it is the reference, and has none".to_owned(),
            None => {
                format!("{} of {} is 0, and nothing is a number of times that", self.start.metric, self.start.reference)
            }
        }
    }
}
