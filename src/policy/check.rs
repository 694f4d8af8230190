//! What can be known about an expression before any alert comes: names, functions, types of comparisons, and size.
//!
//! A rule that can never match is a person who is never logged out, so whatever is evidently a slip is refused at load.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::common::types::CelString;

use super::facts::{ALERT_FIELDS, SUBJECT_FIELDS};
use super::language::{FUNCTIONS, METHODS, TYPES};
use super::nearest;
use crate::domain::Severity;

/// Far above what a person can read, far below what costs time.
const MOST_NODES: usize = 500;

/// Evaluation recurses once per level, with some 30 KiB of stack in a debug build; a thread has 2 MiB.
const MOST_LEVELS: usize = 32;

/// Stands for the variable while the range of a comprehension is looked at.
const RANGE: &str = "@range";

/// A regular expression is compiled whenever it is evaluated.
const LONGEST_PATTERN_BYTES: usize = 256;

const OPERATORS: [&str; 21] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];

/// What an expression is known to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
    Time,
    List,
    Map,
    Null,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Time => "a timestamp",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "null",
        }
    }
}

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<String>,
    /// How it reads `alert.attributes`, if it does.
    pub(super) reads: Option<Reads>,
}

/// How often `alert.attributes` is read. Ordered: the later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reads {
    Once,
    /// In every round of a comprehension.
    InLoops,
}

/// Walks the whole expression.
pub(super) fn check(expression: &IdedExpr, source: &SourceInfo) -> Findings {
    let mut walk = Walk { source, findings: Findings::default(), loops: Vec::new(), nodes: 0, levels: 0 };
    walk.expression(expression);
    if let Some(kind) = walk.kind(expression).filter(|kind| *kind != Kind::Bool) {
        walk.problem(expression, format!("gives {}, but a rule needs true or false", kind.as_str()));
    }
    walk.findings
}

struct Walk<'e> {
    source: &'e SourceInfo,
    findings: Findings,
    /// The variables of the comprehensions around; never more than one, since they do not nest.
    loops: Vec<&'e str>,
    nodes: usize,
    levels: usize,
}

impl<'e> Walk<'e> {
    fn problem(&mut self, at: &IdedExpr, message: impl std::fmt::Display) {
        let place = self.source.offset_for(at.id).map(|(start, _)| place(&self.source.source, start as usize));
        self.findings.problems.push(format!("{}: {message}", place.unwrap_or_else(|| "somewhere".to_owned())));
    }

    fn expression(&mut self, node: &'e IdedExpr) {
        self.nodes += 1;
        if self.nodes == MOST_NODES || self.levels == MOST_LEVELS {
            self.problem(node, format!("is too large: more than {MOST_NODES} parts, or {MOST_LEVELS} levels"));
        }
        if self.nodes >= MOST_NODES || self.levels >= MOST_LEVELS {
            return;
        }
        self.levels += 1;
        self.parts(node);
        self.levels -= 1;
    }

    fn parts(&mut self, node: &'e IdedExpr) {
        match &node.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => self.field(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(comprehension) => self.comprehension(node, comprehension),
            Expr::List(list) => list.elements.iter().for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(_) => self.problem(node, "makes a message, and there is no type of message here"),
            Expr::Unspecified => self.problem(node, "is incomplete"),
        }
    }

    fn entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
        }
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) {
        // `@result` and the like are written by the macros alone.
        let is_known = name.starts_with('@') || self.loops.contains(&name) || constants().any(|known| known == name);
        if is_known {
            return;
        }
        match name {
            "alert" => self.problem(node, format!("alert is used through its fields: {}", ALERT_FIELDS.join(", "))),
            "subject" => {
                self.problem(node, format!("subject is used through its fields: {}", SUBJECT_FIELDS.join(", ")))
            }
            _ => {
                let mut known: Vec<&str> = constants().chain(["alert", "subject"]).collect();
                known.extend(&self.loops);
                let hint = nearest(name, known.into_iter());
                self.problem(node, format!("unknown variable {name:?}{hint}"));
            }
        }
    }

    fn field(&mut self, node: &'e IdedExpr, select: &'e SelectExpr) {
        match &select.operand.expr {
            Expr::Ident(name) if name == "alert" => self.known_field(node, select, "alert", &ALERT_FIELDS),
            Expr::Ident(name) if name == "subject" => self.known_field(node, select, "subject", &SUBJECT_FIELDS),
            _ => {
                self.expression(&select.operand);
                if let Some(kind) = self.kind(&select.operand).filter(|kind| *kind != Kind::Map) {
                    self.problem(node, format!("{} has no field {:?}", kind.as_str(), select.field));
                }
            }
        }
    }

    fn known_field(&mut self, node: &IdedExpr, select: &SelectExpr, of: &str, fields: &[&str]) {
        let field = select.field.as_str();
        if !fields.contains(&field) {
            let hint = nearest(field, fields.iter().copied());
            self.problem(node, format!("{of} has no field {field:?}{hint}; it has {}", fields.join(", ")));
        } else if select.test {
            self.problem(node, format!("{of}.{field} is always there; compare it with \"\" instead of has()"));
        }
        if of == "alert" && field == "attributes" {
            let in_loop = self.loops.iter().any(|variable| *variable != RANGE);
            self.findings.reads = self.findings.reads.max(Some(if in_loop { Reads::InLoops } else { Reads::Once }));
        }
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr) {
        let name = call.func_name.as_str();
        let known: &[&str] = if call.target.is_some() { &METHODS } else { &FUNCTIONS };
        if !OPERATORS.contains(&name) && !known.contains(&name) {
            let what = if call.target.is_some() { "method" } else { "function" };
            let hint = nearest(name, known.iter().copied());
            self.problem(node, format!("unknown {what} {name:?}{hint}"));
        }
        call.target.iter().for_each(|target| self.expression(target));
        call.args.iter().for_each(|argument| self.expression(argument));
        match name {
            "matches" => self.pattern(node, call),
            "timestamp" => self.time(node, call),
            _ => self.comparison(node, call),
        }
    }

    fn pattern(&mut self, node: &IdedExpr, call: &CallExpr) {
        if !self.loops.is_empty() {
            self.problem(node, "matches() is too slow inside all, exists, map and filter; use contains or startsWith");
        }
        let Some(pattern) = call.args.last().and_then(literal_text) else {
            return self.problem(node, "matches() takes its pattern as a literal only");
        };
        if pattern.len() > LONGEST_PATTERN_BYTES {
            self.problem(node, format!("the pattern is longer than {LONGEST_PATTERN_BYTES} bytes"));
        } else if let Err(error) = super::expression::try_pattern(pattern) {
            self.problem(node, error);
        }
    }

    fn time(&mut self, node: &IdedExpr, call: &CallExpr) {
        let text = call.args.first().and_then(literal_text);
        if let Some(Err(error)) = text.map(str::parse::<jiff::Timestamp>) {
            self.problem(node, format!("is not a time ({error}); write 2026-11-21T22:14:07Z"));
        }
    }

    /// CEL lets a number be compared with a string: they are never equal, and the rule never matches.
    fn comparison(&mut self, node: &IdedExpr, call: &CallExpr) {
        let [left, right] = &call.args[..] else { return };
        let rights: Vec<&IdedExpr> = match (call.func_name.as_str(), &right.expr) {
            (operators::IN, Expr::List(ListExpr { elements, .. })) => elements.iter().collect(),
            (
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                _,
            ) => vec![right],
            _ => return,
        };
        let Some(left_kind) = self.kind(left) else { return };
        let other = rights.into_iter().filter_map(|right| self.kind(right)).find(|right| *right != left_kind);
        if let Some(right_kind) = other {
            let hint = if is_severity(left) || is_severity(right) { "; write severities without quotes" } else { "" };
            let (left, right) = (left_kind.as_str(), right_kind.as_str());
            self.problem(node, format!("compares {left} with {right}, which are never equal{hint}"));
        }
    }

    fn comprehension(&mut self, node: &'e IdedExpr, comprehension: &'e ComprehensionExpr) {
        if !self.loops.is_empty() {
            return self.problem(node, "all, exists, map and filter may not be nested");
        }
        let variable = comprehension.iter_var.as_str();
        if constants().chain(["alert", "subject"]).any(|known| known == variable) {
            self.problem(node, format!("the variable {variable:?} would hide another; choose another name"));
        }
        // The variable is not there yet in the range, but a comprehension in it would nest all the same.
        self.loops.push(RANGE);
        self.expression(&comprehension.iter_range);
        self.loops.pop();
        self.bound(node, comprehension);
        let reads_before = self.findings.reads.take();
        self.loops.push(variable);
        self.expression(&comprehension.loop_step);
        self.loops.pop();
        if self.findings.reads.is_some() && gives_list(comprehension) {
            self.problem(node, "map and filter may look at their own variable, and not at alert.attributes");
        }
        self.findings.reads = self.findings.reads.max(reads_before);
    }

    /// Two lists of the greatest length would make one that is longer.
    fn bound(&mut self, node: &IdedExpr, comprehension: &ComprehensionExpr) {
        if comprehension.iter_range.references().has_function(operators::ADD) {
            self.problem(node, "all, exists, map and filter go over one list, and not over a sum of lists");
        }
    }

    fn kind(&self, node: &IdedExpr) -> Option<Kind> {
        match &node.expr {
            Expr::Literal(literal) => literal_kind(literal),
            Expr::Ident(name) if self.loops.contains(&name.as_str()) => None,
            Expr::Ident(name) if name == "source" => Some(Kind::Text),
            Expr::Ident(name) => Severity::ALL.iter().any(|word| word.as_str() == name).then_some(Kind::Number),
            Expr::Select(select) if select.test => Some(Kind::Bool),
            Expr::Select(select) => field_kind(select),
            Expr::Call(call) => call_kind(call),
            Expr::List(_) => Some(Kind::List),
            Expr::Map(_) => Some(Kind::Map),
            Expr::Comprehension(comprehension) => gives_list(comprehension).then_some(Kind::List),
            Expr::Struct(_) | Expr::Unspecified => None,
        }
    }
}

fn constants() -> impl Iterator<Item = &'static str> {
    Severity::ALL.into_iter().map(Severity::as_str).chain(["source"]).chain(TYPES)
}

fn gives_list(comprehension: &ComprehensionExpr) -> bool {
    matches!(comprehension.accu_init.expr, Expr::List(_))
}

fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(CelString::inner(text)),
        _ => None,
    }
}

fn literal_kind(literal: &LiteralValue) -> Option<Kind> {
    match literal {
        LiteralValue::Boolean(_) => Some(Kind::Bool),
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Some(Kind::Number),
        LiteralValue::String(_) => Some(Kind::Text),
        LiteralValue::Null => Some(Kind::Null),
        LiteralValue::Bytes(_) => None,
    }
}

fn field_kind(select: &SelectExpr) -> Option<Kind> {
    let Expr::Ident(of) = &select.operand.expr else { return None };
    match (of.as_str(), select.field.as_str()) {
        ("alert", "id" | "kind" | "reason") | ("subject", "email" | "username") => Some(Kind::Text),
        ("alert", "severity") => Some(Kind::Number),
        ("alert", "occurred_at") => Some(Kind::Time),
        ("alert", "dry_run") => Some(Kind::Bool),
        ("alert", "attributes") | ("subject", "ids" | "sessions") => Some(Kind::Map),
        _ => None,
    }
}

fn call_kind(call: &CallExpr) -> Option<Kind> {
    match call.func_name.as_str() {
        operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::IN => Some(Kind::Bool),
        operators::EQUALS | operators::NOT_EQUALS | operators::LESS | operators::LESS_EQUALS => Some(Kind::Bool),
        operators::GREATER | operators::GREATER_EQUALS => Some(Kind::Bool),
        "contains" | "startsWith" | "endsWith" | "matches" | "hasValue" | "bool" => Some(Kind::Bool),
        "size" | "int" | "uint" | "double" => Some(Kind::Number),
        "string" | "lowerAscii" => Some(Kind::Text),
        "timestamp" => Some(Kind::Time),
        _ => None,
    }
}

fn is_severity(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Select(select) if select.field == "severity")
}

/// Where in the text: a column, and a line if there are several. Offsets count bytes, columns count characters.
fn place(source: &str, offset: usize) -> String {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    located(source, before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The line is left out where there is but one.
pub(super) fn located(source: &str, line: usize, column: usize) -> String {
    if source.trim_end().contains('\n') { format!("line {line}, column {column}") } else { format!("column {column}") }
}
