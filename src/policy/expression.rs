//! One `when`: compiled and checked at load, evaluated for each subject of each alert.
//!
//! The top-level `&&` chain is kept apart, so that the part that was false can be named. Evaluating it part by part is
//! CEL's own meaning of `&&`: any false part decides, else the first error, else it is true.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::common::types::CelBool;
use cel::{Context, Value};

use super::check::{Reads, check, located};
use super::facts::{Facts, Time};
use super::language;

const LONGEST_SOURCE_BYTES: usize = 4096;

/// The parser recurses before anyone can count the levels. What it makes of the longest source fits in here; what passes
/// the checks afterwards is shallow enough for any stack.
const COMPILER_STACK_BYTES: usize = 64 << 20;

/// Evaluation errors quote values of the alert, which may be long.
const LONGEST_MESSAGE_CHARS: usize = 240;

/// Long enough for an e-mail address or a kind, short enough to stay on a line.
const LONGEST_VALUE_CHARS: usize = 120;

/// A compiled `when`.
#[derive(Debug)]
pub(super) struct Expression {
    parts: Vec<Part>,
    reads: Option<Reads>,
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
        if source.len() > LONGEST_SOURCE_BYTES {
            return Err(vec![format!("is longer than {LONGEST_SOURCE_BYTES} bytes")]);
        }
        let unreadable = || vec!["is not an expression that can be read".to_owned()];
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(COMPILER_STACK_BYTES);
            let compiler = builder.spawn_scoped(scope, || Self::compile_here(source)).map_err(|_| unreadable())?;
            compiler.join().map_err(|_| unreadable())?
        })
    }

    fn compile_here(source: &str) -> Result<Self, Vec<String>> {
        let program = language::env()
            .compile(source)
            .map_err(|errors| errors.errors.iter().map(|error| syntax_error(error, source)).collect::<Vec<_>>())?;
        let findings = check(program.expression(), program.source_info());
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let parts = parts(program.expression(), program.source_info());
        Ok(Self { parts, reads: findings.reads })
    }

    /// Evaluates for one subject of one alert.
    pub(super) fn evaluate(&self, root: &Context<'static, 'static>, facts: &Facts<'_, '_>) -> Evaluation {
        if let Some(reason) = self.reads.and_then(|reads| facts.alert.too_large(reads == Reads::InLoops)) {
            return Evaluation::Failed(reason);
        }
        // The interpreter is not ours; a panic in it must not take an acknowledged delivery along.
        let guarded = catch_unwind(AssertUnwindSafe(|| self.evaluate_parts(root, facts)));
        guarded.unwrap_or_else(|_| Evaluation::Failed("the expression could not be evaluated".to_owned()))
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
        let value = Value::resolve_val(&self.node, context)
            .map_err(|error| shortened(&error.to_string(), LONGEST_MESSAGE_CHARS))?;
        let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
        truth.ok_or_else(|| format!("{:?} gives {}, and neither true nor false", self.text, value.get_type().name()))
    }

    /// The fields it looks at, with what they hold here.
    pub(super) fn values(&self, root: &Context<'static, 'static>, facts: &Facts<'_, '_>) -> Vec<(String, String)> {
        let show = || {
            let root: &Context<'_, '_> = root;
            let mut context = root.new_inner_scope();
            context.set_variable_resolver(facts);
            self.fields.iter().map(|(name, node)| (name.clone(), shown(node, &context))).collect()
        };
        catch_unwind(AssertUnwindSafe(show)).unwrap_or_default()
    }
}

fn shown(node: &IdedExpr, context: &Context<'_, '_>) -> String {
    let Ok(value) = Value::resolve_val(node, context) else { return "(absent)".to_owned() };
    if let Some(Time(time)) = value.downcast_ref::<Time>() {
        return time.to_string();
    }
    let json = Value::try_from(value.as_ref()).ok().and_then(|value| value.json().ok());
    json.map_or_else(|| "(not shown)".to_owned(), |json| shortened(&json.to_string(), LONGEST_VALUE_CHARS))
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether the regular expression engine takes `pattern`: asked at load, so that no alert is the first to find out.
pub(super) fn try_pattern(pattern: &str) -> Result<(), String> {
    let literal = |text: &str| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.to_owned().into())) };
    let call = CallExpr { func_name: "matches".to_owned(), target: None, args: vec![literal(""), literal(pattern)] };
    let node = IdedExpr { id: 0, expr: Expr::Call(call) };
    Value::resolve_val(&node, &language::root()).map(drop).map_err(|error| error.to_string())
}

fn syntax_error(error: &cel::ParseError, source: &str) -> String {
    let [line, column] = [error.pos.0, error.pos.1].map(|number| usize::try_from(number).unwrap_or(1));
    format!("{}: {}", located(source, line, column), shortened(error.msg.trim(), LONGEST_MESSAGE_CHARS))
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
