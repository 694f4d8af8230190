//! One `when`: compiled and checked at load, evaluated for each subject of each alert.
//!
//! The top-level `&&` chain is kept apart, so that the part that was false can be named. Evaluating it part by part is
//! CEL's own meaning of `&&`: any false part decides, else the first error, else it is true.

use cel::Context;
use cel::common::ast::{CallExpr, Expr, IdedExpr, SourceInfo, operators};
use cel::common::types::CelBool;

use super::facts::{Effort, Facts};
use super::language::dialect;
use crate::expression::{Checked, Kind, Time, Work, evaluate, guarded, shortened, to_json};

/// As much of a value as is looked at to show it.
const SHOWN_BUDGET: usize = 1 << 20;

/// Long enough for an e-mail address or a kind, short enough to stay on a line.
const LONGEST_VALUE_CHARS: usize = 120;

/// A compiled `when`.
#[derive(Debug)]
pub(super) struct Expression {
    parts: Vec<Part>,
    work: Work,
    /// Whether it looks at the subject. If not, it is the same for all subjects of an alert.
    pub(super) reads_subject: bool,
}

/// One member of the `&&` chain.
#[derive(Debug)]
pub(super) struct Part {
    node: IdedExpr,
    /// As written in the config.
    pub(super) text: String,
    /// The fields it looks at.
    fields: Vec<(String, IdedExpr)>,
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evaluation {
    /// True.
    Match,
    /// False, because of this part.
    NoMatch(usize),
    /// Neither, and never to be taken for false.
    Failed(String),
}

impl Expression {
    pub(super) fn compile(source: &str) -> Result<Self, Vec<String>> {
        let checked = Checked::new(source, dialect(), &[Kind::Bool], "a rule")?;
        let reads_subject = checked.names("subject");
        Ok(Self { parts: parts(&checked.node, &checked.source), work: checked.work, reads_subject })
    }

    /// Evaluates for one subject of one alert.
    pub(super) fn evaluate(
        &self,
        root: &Context<'static, 'static>,
        facts: &Facts<'_, '_>,
        effort: &mut Effort,
    ) -> Evaluation {
        if let Err(reason) = facts.alert.charge(&self.work, effort) {
            return Evaluation::Failed(reason);
        }
        guarded(|| Ok(self.evaluate_parts(root, facts))).unwrap_or_else(Evaluation::Failed)
    }

    fn evaluate_parts(&self, root: &Context<'_, '_>, facts: &Facts<'_, '_>) -> Evaluation {
        let mut context = root.new_inner_scope();
        context.set_variable_resolver(facts);
        let mut failure = None;
        for (position, part) in self.parts.iter().enumerate() {
            match part.evaluate(&context) {
                Ok(true) => {}
                Ok(false) => return Evaluation::NoMatch(position),
                Err(message) => failure = failure.or(Some(message)),
            }
        }
        failure.map_or(Evaluation::Match, Evaluation::Failed)
    }

    /// The part at `position`, as counted by [`Evaluation::NoMatch`].
    pub(super) fn part(&self, position: usize) -> Option<&Part> {
        self.parts.get(position)
    }
}

impl Part {
    fn evaluate(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let value = evaluate(&self.node, context)?;
        let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
        truth.ok_or_else(|| format!("{:?} gives {}, and neither true nor false", self.text, value.get_type().name()))
    }

    /// The fields it looks at, with what they hold here.
    pub(super) fn values(&self, root: &Context<'static, 'static>, facts: &Facts<'_, '_>) -> Vec<(String, String)> {
        let show = || {
            let root: &Context<'_, '_> = root;
            let mut context = root.new_inner_scope();
            context.set_variable_resolver(facts);
            Ok(self.fields.iter().map(|(name, node)| (name.clone(), shown(node, &context))).collect())
        };
        guarded(show).unwrap_or_default()
    }
}

fn shown(node: &IdedExpr, context: &Context<'_, '_>) -> String {
    let Ok(value) = evaluate(node, context) else { return "(absent)".to_owned() };
    if let Some(Time(time)) = value.downcast_ref::<Time>() {
        return time.to_string();
    }
    let json = to_json(value.as_ref(), &mut SHOWN_BUDGET.clone());
    json.map_or_else(|_| "(not shown)".to_owned(), |json| shortened(&json.to_string(), LONGEST_VALUE_CHARS))
}

/// Splits the `&&` chain at the root, in the order in which it is written.
fn parts(root: &IdedExpr, source: &SourceInfo) -> Vec<Part> {
    let (mut nodes, mut ends) = (Vec::new(), Vec::new());
    flatten(root, source, &mut nodes, &mut ends);
    let text = source.source.as_str();
    ends.push(text.len());
    let begins = std::iter::once(0).chain(ends.iter().map(|end| end + "&&".len()));
    let texts = begins.zip(&ends).map(|(begin, end)| text.get(begin..*end).unwrap_or(text));
    nodes.into_iter().zip(texts).map(|(node, text)| part(node, text)).collect()
}

fn flatten<'e>(node: &'e IdedExpr, source: &SourceInfo, nodes: &mut Vec<&'e IdedExpr>, ends: &mut Vec<usize>) {
    match &node.expr {
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::LOGICAL_AND && args.len() == 2 => {
            flatten(&args[0], source, nodes, ends);
            ends.push(source.offset_for(node.id).map_or(0, |(start, _)| start as usize));
            flatten(&args[1], source, nodes, ends);
        }
        _ => nodes.push(node),
    }
}

fn part(node: &IdedExpr, text: &str) -> Part {
    let mut fields = Vec::new();
    collect_fields(node, &mut fields);
    Part { node: node.clone(), text: balanced(text), fields }
}

/// Without the parentheses that a cut through `a && (b && c)` leaves over. Only for the eye.
fn balanced(text: &str) -> String {
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix('(').filter(|_| text.matches('(').count() > text.matches(')').count()) {
        text = rest.trim();
    }
    while let Some(rest) = text.strip_suffix(')').filter(|_| text.matches(')').count() > text.matches('(').count()) {
        text = rest.trim();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The longest chains `alert.a.b`, `subject.a` and `source`, each once.
fn collect_fields(node: &IdedExpr, fields: &mut Vec<(String, IdedExpr)>) {
    if let Some(name) = field_name(node) {
        if !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, node.clone()));
        }
        return;
    }
    match &node.expr {
        Expr::Select(select) => collect_fields(&select.operand, fields),
        Expr::Call(call) => {
            call.target.iter().map(AsRef::as_ref).chain(&call.args).for_each(|part| collect_fields(part, fields))
        }
        Expr::List(list) => list.elements.iter().for_each(|element| collect_fields(element, fields)),
        Expr::Comprehension(comprehension) => {
            collect_fields(&comprehension.iter_range, fields);
            collect_fields(&comprehension.loop_step, fields);
        }
        Expr::Map(_) | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

fn field_name(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) if name == "source" => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            let of = match &select.operand.expr {
                Expr::Ident(name) if name == "alert" || name == "subject" => name.clone(),
                _ => field_name(&select.operand)?,
            };
            Some(format!("{of}.{}", select.field))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
