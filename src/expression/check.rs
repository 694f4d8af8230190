//! What can be known about an expression before any alert comes: names, functions, types of comparisons, and size.
//!
//! An expression that always fails or never matches is a person who is never logged out, so whatever is evidently a slip is
//! refused at load.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::common::types::CelString;

use super::dialect::{Dialect, Kind, Name};
use super::nearest;
use super::work::{Loop, Read, Work};

/// Far above what a person can read, far below what costs time.
const MOST_NODES: usize = 500;

/// Evaluation recurses once per level, with some 30 KiB of stack in a debug build; a thread has 2 MiB.
const MOST_LEVELS: usize = 32;

/// Stands for the variable while the range of a comprehension is looked at.
const RANGE: &str = "@range";

/// A regular expression takes time in proportion to its length, for each byte of the text.
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

/// Lists that no sender decides on are shorter than this.
const LONGEST_OTHER_LIST: usize = 1000;

/// An optional step copies what it finds, once more for each step that follows.
const OPTIONAL_WEIGHT: usize = 2;

/// Walks the whole expression: what it costs, or everything that is wrong.
pub(super) fn check(
    expression: &IdedExpr,
    source: &SourceInfo,
    dialect: &Dialect,
    wanted: &[Kind],
    by: &str,
) -> Result<Work, Vec<String>> {
    let mut walk = Walk::new(source, dialect);
    walk.expression(expression);
    if let Some(kind) = walk.kind(expression).filter(|kind| !wanted.contains(kind)) {
        let wanted: Vec<_> = wanted.iter().map(|kind| kind.as_str()).collect();
        walk.problem(expression, format!("gives {}, but {by} needs {}", kind.as_str(), wanted.join(" or ")));
    }
    if walk.problems.is_empty() { Ok(walk.work) } else { Err(walk.problems) }
}

struct Walk<'e> {
    source: &'e SourceInfo,
    dialect: &'e Dialect,
    problems: Vec<String>,
    work: Work,
    /// The variables of the comprehensions around; never more than one, since they do not nest.
    loops: Vec<&'e str>,
    /// The comprehension whose range or step this is.
    current: Option<Loop>,
    /// The functions around: what they make of what they are given counts.
    weight: usize,
    levels: usize,
}

impl<'e> Walk<'e> {
    fn new(source: &'e SourceInfo, dialect: &'e Dialect) -> Self {
        Self {
            source,
            dialect,
            problems: Vec::new(),
            work: Work::default(),
            loops: Vec::new(),
            current: None,
            weight: 1,
            levels: 0,
        }
    }

    fn problem(&mut self, at: &IdedExpr, message: impl std::fmt::Display) {
        let place = self.source.offset_for(at.id).map(|(start, _)| place(&self.source.source, start as usize));
        self.problems.push(format!("{}: {message}", place.unwrap_or_else(|| "somewhere".to_owned())));
    }

    fn expression(&mut self, node: &'e IdedExpr) {
        self.visit(node, false);
    }

    /// `in_chain`: the node belongs to a chain of fields that was counted as a whole.
    fn visit(&mut self, node: &'e IdedExpr, in_chain: bool) {
        self.work.nodes += 1;
        if self.work.nodes == MOST_NODES || self.levels == MOST_LEVELS {
            self.problem(node, format!("is too large: more than {MOST_NODES} parts, or {MOST_LEVELS} levels"));
        }
        if self.work.nodes >= MOST_NODES || self.levels >= MOST_LEVELS {
            return;
        }
        self.levels += 1;
        let chain = self.chain(node);
        let is_chain = chain.is_some();
        self.count(chain.filter(|_| !in_chain));
        self.parts(node, is_chain);
        self.levels -= 1;
    }

    fn count(&mut self, read: Option<Read>) {
        let in_range = self.loops.last() == Some(&RANGE);
        let round = self.current.as_mut().filter(|_| !in_range);
        if let Some(round) = round {
            round.nodes += 1;
        }
        let Some(read) = read else { return };
        let read = Read { weight: read.weight * self.weight, grows: self.weight > 1, ..read };
        match &mut self.current {
            Some(current) if in_range => {
                current.ranges.push(read.clone());
                self.work.reads.push(read);
            }
            Some(current) => current.reads.push(read),
            None => self.work.reads.push(read),
        }
    }

    /// The node as keys below something large.
    fn chain(&self, node: &IdedExpr) -> Option<Read> {
        match &node.expr {
            Expr::Ident(name) if !self.loops.contains(&name.as_str()) => self.dialect.plain(name)?.large.map(read),
            Expr::Select(select) => self.chain_select(select),
            Expr::Call(CallExpr { func_name, args, .. }) => match (func_name.as_str(), &args[..]) {
                (operators::INDEX, [of, key]) => Some(step(self.chain(of)?, literal_key(key)?)),
                (operators::OPT_INDEX | operators::OPT_SELECT, [of, key]) => {
                    let found = self.chain(of)?;
                    let found = literal_key(key).map_or_else(|| found.clone(), |key| step(found.clone(), key));
                    Some(Read { weight: OPTIONAL_WEIGHT, ..found })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn chain_select(&self, select: &SelectExpr) -> Option<Read> {
        match &select.operand.expr {
            Expr::Ident(name) if self.dialect.record(name).is_some() => {
                let fields = self.dialect.record(name)?;
                fields.iter().find(|field| field.name == select.field)?.large.map(read)
            }
            _ => Some(step(self.chain(&select.operand)?, select.field.clone())),
        }
    }

    fn parts(&mut self, node: &'e IdedExpr, is_chain: bool) {
        match &node.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => self.field(node, select, is_chain),
            Expr::Call(call) => self.call(node, call, is_chain),
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
        if let (Some(current), true) = (&mut self.current, self.loops.contains(&name)) {
            current.own += 1;
        }
        // `@result` and the like are written by the macros alone.
        let is_known = name.starts_with('@') || self.loops.contains(&name);
        if is_known || self.dialect.plain_names().any(|known| known == name) {
            return;
        }
        if let Some(fields) = self.dialect.record(name) {
            return self.problem(node, format!("{name} is used through its fields: {}", listed(fields)));
        }
        if let Some((_, reason)) = self.dialect.absent.iter().find(|(absent, _)| *absent == name) {
            return self.problem(node, format!("unknown variable {name:?}: {reason}"));
        }
        let known = self.dialect.all_names().into_iter().chain(self.loops.iter().copied());
        let hint = nearest(name, known);
        self.problem(node, format!("unknown variable {name:?}{hint}"));
    }

    fn field(&mut self, node: &'e IdedExpr, select: &'e SelectExpr, is_chain: bool) {
        if let Expr::Ident(name) = &select.operand.expr
            && let Some(fields) = self.dialect.record(name)
        {
            return self.known_field(node, select, name, fields);
        }
        self.visit(&select.operand, is_chain);
        if let Some(kind) = self.kind(&select.operand).filter(|kind| *kind != Kind::Map) {
            self.problem(node, format!("{} has no field {:?}", kind.as_str(), select.field));
        }
    }

    fn known_field(&mut self, node: &IdedExpr, select: &SelectExpr, of: &str, fields: &[Name]) {
        let field = select.field.as_str();
        if !fields.iter().any(|known| known.name == field) {
            let hint = nearest(field, fields.iter().map(|known| known.name));
            self.problem(node, format!("{of} has no field {field:?}{hint}; it has {}", listed(fields)));
        } else if select.test {
            self.problem(node, format!("{of}.{field} is always there; compare it with \"\" instead of has()"));
        }
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr, is_chain: bool) {
        let name = call.func_name.as_str();
        let functions = self.dialect.function_names();
        let known: &[&str] = if call.target.is_some() { self.dialect.method_names() } else { &functions };
        if !OPERATORS.contains(&name) && !known.contains(&name) {
            let what = if call.target.is_some() { "method" } else { "function" };
            let hint = nearest(name, known.iter().copied());
            self.problem(node, format!("unknown {what} {name:?}{hint}"));
        }
        self.arguments(node, call, is_chain);
        match name {
            "matches" => self.pattern(node, call),
            "timestamp" => self.time(node, call),
            _ => self.comparison(node, call),
        }
    }

    fn arguments(&mut self, node: &'e IdedExpr, call: &'e CallExpr, is_chain: bool) {
        let own = self.dialect.functions.iter().find(|own| own.name == call.func_name && call.target.is_none());
        if let Some(own) = own
            && !own.arguments.iter().any(|(_, count)| *count == call.args.len())
        {
            let counts: Vec<_> = own.arguments.iter().map(|(_, count)| count.to_string()).collect();
            self.problem(node, format!("{} takes {} argument(s)", own.name, counts.join(" or ")));
        }
        let around = self.weight;
        self.weight = around.saturating_mul(own.map_or(1, |own| own.weight));
        call.target.iter().for_each(|target| self.expression(target));
        for (position, argument) in call.args.iter().enumerate() {
            self.visit(argument, is_chain && position == 0);
        }
        self.weight = around;
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
        } else if let Err(error) = super::compile::try_pattern(pattern, self.dialect) {
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
            let note = [left, right].into_iter().filter_map(|side| self.record_field(side)).map(|field| field.note);
            let note = note.filter(|note| !note.is_empty()).map(|note| format!("; {note}")).next().unwrap_or_default();
            let (left, right) = (left_kind.as_str(), right_kind.as_str());
            self.problem(node, format!("compares {left} with {right}, which are never equal{note}"));
        }
    }

    fn comprehension(&mut self, node: &'e IdedExpr, comprehension: &'e ComprehensionExpr) {
        if !self.loops.is_empty() {
            let mend = "; map(x, condition, value) filters and maps at once";
            return self.problem(node, format!("all, exists, map and filter may not be nested{mend}"));
        }
        let variable = comprehension.iter_var.as_str();
        if self.dialect.all_names().contains(&variable) {
            self.problem(node, format!("the variable {variable:?} would hide another; choose another name"));
        }
        self.current = Some(Loop::default());
        // The variable is not there yet in the range, but a comprehension in it would nest all the same.
        self.loops.push(RANGE);
        self.expression(&comprehension.iter_range);
        self.loops.pop();
        self.bound(node, comprehension);
        self.loops.push(variable);
        self.expression(&comprehension.loop_step);
        self.loops.pop();
        self.finish_loop(&comprehension.iter_range);
    }

    fn finish_loop(&mut self, range: &IdedExpr) {
        let Some(finished) = self.current.take() else { return };
        let least = match &range.expr {
            Expr::List(list) => list.elements.len(),
            _ if finished.ranges.is_empty() => LONGEST_OTHER_LIST,
            _ => 0,
        };
        self.work.loops.push(Loop { least, ..finished });
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
            Expr::Ident(name) => self.dialect.kind_of(name),
            Expr::Select(select) if select.test => Some(Kind::Bool),
            Expr::Select(_) => self.record_field(node)?.kind,
            Expr::Call(call) => self.call_kind(call),
            Expr::List(_) => Some(Kind::List),
            Expr::Map(_) => Some(Kind::Map),
            Expr::Comprehension(comprehension) => gives_list(comprehension).then_some(Kind::List),
            Expr::Struct(_) | Expr::Unspecified => None,
        }
    }

    /// The record's field that the node is.
    fn record_field(&self, node: &IdedExpr) -> Option<&'static Name> {
        let Expr::Select(select) = &node.expr else { return None };
        let Expr::Ident(name) = &select.operand.expr else { return None };
        self.dialect.record(name)?.iter().find(|field| field.name == select.field)
    }

    fn call_kind(&self, call: &CallExpr) -> Option<Kind> {
        match call.func_name.as_str() {
            operators::CONDITIONAL => {
                let [_, yes, no] = &call.args[..] else { return None };
                self.kind(yes).filter(|kind| self.kind(no) == Some(*kind))
            }
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::IN => Some(Kind::Bool),
            operators::EQUALS | operators::NOT_EQUALS | operators::LESS | operators::LESS_EQUALS => Some(Kind::Bool),
            operators::GREATER | operators::GREATER_EQUALS => Some(Kind::Bool),
            "contains" | "startsWith" | "endsWith" | "matches" | "hasValue" | "bool" => Some(Kind::Bool),
            "size" | "int" | "uint" | "double" => Some(Kind::Number),
            "string" | "lowerAscii" => Some(Kind::Text),
            "timestamp" => Some(Kind::Time),
            name if call.target.is_none() => self.dialect.functions.iter().find(|own| own.name == name)?.kind,
            _ => None,
        }
    }
}

fn listed(fields: &[Name]) -> String {
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

fn read(root: &'static str) -> Read {
    Read { root, path: Vec::new(), weight: 1, grows: false }
}

/// One key further down. Where a step was optional, all below it was copied with it.
fn step(mut read: Read, key: String) -> Read {
    if read.weight == 1 {
        read.path.push(key);
    }
    read
}

fn literal_key(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(CelString::inner(text).to_owned()),
        Expr::Literal(LiteralValue::Int(number)) => Some(number.inner().to_string()),
        _ => None,
    }
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
