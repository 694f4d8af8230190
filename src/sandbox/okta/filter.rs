//! The two expression languages of user listings: `search`, and the smaller `filter`.
//!
//! Source: Okta management OpenAPI 2026.06.3, `listUsers`. How a quote inside a value is written is not documented;
//! backslash escapes are taken here.

use super::sessions::millis;
use super::world::User;

/// Brackets inside brackets, at most; the parser recurses.
const DEEPEST: usize = 16;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Values in any case; an index that may lag.
    Search,
    /// Values exactly; the present state.
    Filter,
}

/// A parsed expression.
#[derive(Debug)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Compare { property: String, operator: Operator, value: String },
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    StartsWith,
    Contains,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const PROFILE: [&str; 4] = ["profile.login", "profile.email", "profile.firstName", "profile.lastName"];

impl Language {
    /// Property names are case-sensitive in both.
    pub(super) fn knows(self, property: &str) -> bool {
        let shared = ["id", "status", "lastUpdated"].contains(&property) || PROFILE.contains(&property);
        let search_only = ["created", "activated", "statusChanged", "type.id"].contains(&property);
        shared || (self == Self::Search && search_only)
    }

    fn allows(self, property: &str, operator: Operator) -> bool {
        match (self, operator) {
            (_, Operator::Equal) | (Self::Search, Operator::StartsWith) => true,
            (Self::Search, Operator::Contains) => PROFILE.contains(&property),
            (Self::Search, _) => true,
            (Self::Filter, Operator::StartsWith | Operator::Contains) => false,
            (Self::Filter, _) => property == "lastUpdated",
        }
    }

    /// The user's value of `property`, as this language compares it.
    pub(super) fn value(self, user: &User, property: &str) -> String {
        let person = &user.person;
        let value = match property {
            "id" => person.id.clone(),
            "status" => person.status.as_str().to_owned(),
            "profile.login" => person.login.clone(),
            "profile.email" => person.email.clone(),
            "profile.firstName" => person.first_name.clone(),
            "profile.lastName" => person.last_name.clone(),
            "type.id" => "otyfnjfba4ye7pgjB0g4".to_owned(),
            _ => millis(user.created),
        };
        self.folded(value)
    }

    fn folded(self, value: String) -> String {
        if self == Self::Search { value.to_lowercase() } else { value }
    }
}

impl Expression {
    /// Fails with a sentence about what is wrong.
    pub(super) fn parse(text: &str, language: Language) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, language };
        let expression = parser.any(0)?;
        match parser.next() {
            None => Ok(expression),
            Some(extra) => Err(format!("unexpected {}", extra.text())),
        }
    }

    pub(super) fn matches(&self, user: &User, language: Language) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(user, language)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(user, language)),
            Self::Compare { property, operator, value } => {
                operator.holds(&language.value(user, property), &language.folded(value.clone()))
            }
        }
    }
}

impl Operator {
    /// Operators are case-insensitive. `ne`, `not` and `pr` are not among them.
    fn named(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "eq" => Some(Self::Equal),
            "sw" => Some(Self::StartsWith),
            "co" => Some(Self::Contains),
            "lt" => Some(Self::Less),
            "le" => Some(Self::LessOrEqual),
            "gt" => Some(Self::Greater),
            "ge" => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    fn holds(self, left: &str, right: &str) -> bool {
        match self {
            Self::Equal => left == right,
            Self::StartsWith => left.starts_with(right),
            Self::Contains => left.contains(right),
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Word(text) | Self::Quoted(text) => text,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '"' => tokens.push(Token::Quoted(quoted(&mut letters)?)),
            first => {
                let mut word = String::from(first);
                while let Some(more) = letters.next_if(|letter| !" ()\"".contains(*letter)) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn quoted(letters: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut value = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(value),
            '\\' => match letters.next() {
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                _ => return Err("a backslash escapes only a quote or a backslash".to_owned()),
            },
            other => value.push(other),
        }
    }
    Err("a quote is not closed".to_owned())
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    language: Language,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.tokens.get(self.at).is_some_and(|token| token.is_word(word));
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.all(depth)?];
        while self.take_word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.term(depth)?];
        while self.take_word("and") {
            parts.push(self.term(depth)?);
        }
        Ok(Expression::All(parts))
    }

    fn term(&mut self, depth: usize) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Open) if depth < DEEPEST => {
                let inner = self.any(depth + 1)?;
                if self.next() == Some(Token::Close) { Ok(inner) } else { Err("a bracket is open".to_owned()) }
            }
            Some(Token::Word(property)) => self.comparison(property),
            Some(other) => Err(format!("unexpected {}", other.text())),
            None => Err("the expression ends too early".to_owned()),
        }
    }

    fn comparison(&mut self, property: String) -> Result<Expression, String> {
        let word = self.next().map(|token| token.text().to_owned()).unwrap_or_default();
        let operator = Operator::named(&word).ok_or_else(|| format!("{word}: not an operator"))?;
        if !self.language.knows(&property) {
            return Err(format!("{property}: not a property"));
        }
        if !self.language.allows(&property, operator) {
            return Err(format!("{word}: not supported for {property}"));
        }
        match self.next() {
            Some(Token::Quoted(value)) => Ok(Expression::Compare { property, operator, value }),
            _ => Err(format!("{property}: the value must stand in quotes")),
        }
    }
}
