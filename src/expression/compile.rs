//! From text to an expression that may be evaluated.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::common::value::CowVal;
use cel::{Context, Value};

use super::check::{check, located};
use super::dialect::{Dialect, Kind};
use super::work::Work;

const LONGEST_SOURCE_BYTES: usize = 4096;

/// The parser recurses before anyone can count the levels. What it makes of the longest source fits in here; what passes
/// the checks afterwards is shallow enough for any stack.
const COMPILER_STACK_BYTES: usize = 64 << 20;

/// Evaluation errors quote values of the alert, which may be long.
const LONGEST_MESSAGE_CHARS: usize = 240;

/// An expression that passed every check.
#[derive(Debug)]
pub struct Checked {
    /// Its tree.
    pub node: IdedExpr,
    /// Where its parts stand in the text.
    pub source: SourceInfo,
    /// What evaluating it costs.
    pub work: Work,
}

impl Checked {
    /// Checks `source`, which is to give one of `wanted`; `by` says who wants that, for example `a rule`. All that is
    /// wrong is told at once, each with its column.
    pub fn new(source: &str, dialect: &Dialect, wanted: &[Kind], by: &str) -> Result<Self, Vec<String>> {
        if source.len() > LONGEST_SOURCE_BYTES {
            return Err(vec![format!("is longer than {LONGEST_SOURCE_BYTES} bytes")]);
        }
        let unreadable = || vec!["is not an expression that can be read".to_owned()];
        let compile = || Self::compile(source, dialect, wanted, by);
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(COMPILER_STACK_BYTES);
            let compiler = builder.spawn_scoped(scope, compile).map_err(|_| unreadable())?;
            compiler.join().map_err(|_| unreadable())?
        })
    }

    fn compile(source: &str, dialect: &Dialect, wanted: &[Kind], by: &str) -> Result<Self, Vec<String>> {
        let program = dialect
            .env()
            .compile(source)
            .map_err(|errors| errors.errors.iter().map(|error| syntax_error(error, source)).collect::<Vec<_>>())?;
        let work = check(program.expression(), program.source_info(), dialect, wanted, by)?;
        let mut places = SourceInfo::default();
        places.source = source.to_owned();
        copy_places(program.expression(), program.source_info(), &mut places);
        Ok(Self { node: program.expression().clone(), source: places, work })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source.source
    }

    /// Whether it looks at the variable of this name.
    #[must_use]
    pub fn names(&self, variable: &str) -> bool {
        self.node.references().has_variable(variable)
    }

    /// What it gives, with the names that `context` knows. [`Work::cost`] comes first.
    pub fn evaluate<'e, 'v>(&'e self, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, String> {
        evaluate(&self.node, context)
    }
}

/// Only calls are asked for later, to cut a text at its operators.
fn copy_places(node: &IdedExpr, from: &SourceInfo, to: &mut SourceInfo) {
    if let Some((start, stop)) = from.offset_for(node.id) {
        to.add_offset(node.id, start, stop);
    }
    if let Expr::Call(CallExpr { args, .. }) = &node.expr {
        args.iter().for_each(|argument| copy_places(argument, from, to));
    }
}

/// What a part of a checked expression gives.
pub fn evaluate<'e, 'v>(node: &'e IdedExpr, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, String> {
    Value::resolve_val(node, context).map_err(|error| shortened(&error.to_string(), LONGEST_MESSAGE_CHARS))
}

/// The interpreter is not ours; a panic in it must not take an acknowledged delivery along.
pub fn guarded<T>(evaluation: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(evaluation))
        .unwrap_or_else(|_| Err("the expression could not be evaluated".to_owned()))
}

/// `text`, or as many characters of it.
#[must_use]
pub fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether the regular expression engine takes `pattern`: asked at load, so that no alert is the first to find out.
pub(super) fn try_pattern(pattern: &str, dialect: &Dialect) -> Result<(), String> {
    let literal = |text: &str| IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.to_owned().into())) };
    let call = CallExpr { func_name: "matches".to_owned(), target: None, args: vec![literal(""), literal(pattern)] };
    let node = IdedExpr { id: 0, expr: Expr::Call(call) };
    Value::resolve_val(&node, dialect.root()).map(drop).map_err(|error| error.to_string())
}

fn syntax_error(error: &cel::ParseError, source: &str) -> String {
    let [line, column] = [error.pos.0, error.pos.1].map(|number| usize::try_from(number).unwrap_or(1));
    format!("{}: {}", located(source, line, column), shortened(error.msg.trim(), LONGEST_MESSAGE_CHARS))
}
