//! The kinds of query that the simulator understands:
//!
//! - `SELECT count() AS groups, sum(n) AS rows FROM (SELECT count() AS n FROM t GROUP BY a, b HAVING n > 1)`
//! - `SELECT max(c) FROM t`
//!
//! - `SELECT timestamp, level, message FROM log_entries WHERE log_source = 'hog_function' AND log_source_id = '…' …`, of which only the
//!   id matters
//!
//! Keywords in any case, names plain or in backquotes, aliases anywhere, `LIMIT` at the end.

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The table's name, with dots where it has any.
    pub(crate) table: String,
    /// The names of the columns of the answer.
    pub(crate) names: Vec<String>,
    pub(crate) asked: Asked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// How many values of these columns occur more than once, and in how many rows.
    Duplicates(Vec<String>),
    /// The largest value of this column.
    Newest(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Number(String),
    Symbol(char),
}

/// The function of which a query reads the log.
pub(crate) fn webhook_log(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let reads_log = lower.starts_with("select timestamp, level, message from log_entries")
        && lower.contains("log_source = 'hog_function'");
    let (_, rest) = text.split_once("log_source_id = '").filter(|_| reads_log)?;
    rest.split_once('\'').map(|(id, _)| id)
}

/// Understands a query, or says where it stops making sense.
pub(crate) fn parse(text: &str) -> Result<Query, String> {
    let mut rest = Parser {
        tokens: tokens(text)?,
        next: 0,
    };
    rest.keyword("select")?;
    let query = if rest.peeks("max") {
        rest.newest()?
    } else {
        rest.duplicates()?
    };
    if rest.take("limit") {
        rest.number()?;
    }
    match rest.peek() {
        None => Ok(query),
        Some(_) => Err(rest.unexpected()),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let part = |more: fn(char) -> bool| rest.split(|c| !more(c)).next().unwrap_or_default();
        let (token, length) = match first {
            '`' | '"' => {
                let name = rest.get(1..).and_then(|rest| rest.split_once(first));
                let (name, _) = name.ok_or("Syntax error: a quoted name has no end")?;
                (Token::Quoted(name.to_owned()), name.len() + 2)
            }
            _ if first.is_ascii_digit() => {
                let number = part(|c| c.is_ascii_digit());
                (Token::Number(number.to_owned()), number.len())
            }
            _ if first.is_alphabetic() || first == '_' => {
                let word = part(|c| c.is_alphanumeric() || c == '_' || c == '$');
                (Token::Word(word.to_owned()), word.len())
            }
            _ => (Token::Symbol(first), first.len_utf8()),
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    /// `max(column) [AS name] FROM table`
    fn newest(&mut self) -> Result<Query, String> {
        self.keyword("max")?;
        self.symbol('(')?;
        let column = self.column()?;
        self.symbol(')')?;
        let name = self.alias()?.unwrap_or_else(|| format!("max({column})"));
        self.keyword("from")?;
        Ok(Query {
            table: self.table()?,
            names: vec![name],
            asked: Asked::Newest(column),
        })
    }

    /// `count() [AS name], sum(n) [AS name] FROM (groups) [AS name]`
    fn duplicates(&mut self) -> Result<Query, String> {
        self.count()?;
        let groups = self.alias()?.unwrap_or_else(|| "count()".to_owned());
        self.symbol(',')?;
        self.keyword("sum")?;
        self.symbol('(')?;
        let summed = self.column()?;
        self.symbol(')')?;
        let rows = self.alias()?.unwrap_or_else(|| format!("sum({summed})"));
        self.keyword("from")?;
        self.symbol('(')?;
        let (table, columns) = self.groups(&summed)?;
        self.symbol(')')?;
        self.alias()?;
        Ok(Query {
            table,
            names: vec![groups, rows],
            asked: Asked::Duplicates(columns),
        })
    }

    /// `SELECT count() AS n FROM table GROUP BY columns HAVING n > 1`
    fn groups(&mut self, summed: &str) -> Result<(String, Vec<String>), String> {
        self.keyword("select")?;
        self.count()?;
        let name = self.alias()?.ok_or_else(|| self.unexpected())?;
        if name != summed {
            return Err(unresolved(summed));
        }
        self.keyword("from")?;
        let table = self.table()?;
        self.keyword("group")?;
        self.keyword("by")?;
        let mut columns = vec![self.column()?];
        while self.take_symbol(',') {
            columns.push(self.column()?);
        }
        self.keyword("having")?;
        if self.peeks("count") {
            self.count()?;
        } else {
            let counted = self.name()?;
            if counted != name {
                return Err(unresolved(&counted));
            }
        }
        self.symbol('>')?;
        if self.number()? == "1" {
            Ok((table, columns))
        } else {
            Err("Syntax error: only HAVING … > 1 is understood".to_owned())
        }
    }

    fn count(&mut self) -> Result<(), String> {
        self.keyword("count")?;
        self.symbol('(')?;
        self.take_symbol('*');
        self.symbol(')')
    }

    /// A table's name, with an alias that nothing here needs.
    fn table(&mut self) -> Result<String, String> {
        let mut table = self.name()?;
        while self.take_symbol('.') {
            table = format!("{table}.{}", self.name()?);
        }
        self.alias()?;
        Ok(table)
    }

    /// A column's name, without the table's if that precedes it.
    fn column(&mut self) -> Result<String, String> {
        let mut column = self.name()?;
        while self.take_symbol('.') {
            column = self.name()?;
        }
        Ok(column)
    }

    fn alias(&mut self) -> Result<Option<String>, String> {
        if self.take("as") {
            self.name().map(Some)
        } else {
            Ok(None)
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = number.clone();
                self.next += 1;
                Ok(number)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn keyword(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<(), String> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let taken = self.peeks(word);
        self.next += usize::from(taken);
        taken
    }

    fn take_symbol(&mut self, symbol: char) -> bool {
        let taken = self.peek() == Some(&Token::Symbol(symbol));
        self.next += usize::from(taken);
        taken
    }

    fn peeks(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(own)) if own.eq_ignore_ascii_case(word))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            Some(Token::Word(text) | Token::Quoted(text) | Token::Number(text)) => {
                format!("Syntax error: unexpected '{text}'")
            }
            Some(Token::Symbol(symbol)) => format!("Syntax error: unexpected '{symbol}'"),
            None => "Syntax error: unexpected end of the query".to_owned(),
        }
    }
}

pub(crate) fn unresolved(field: &str) -> String {
    format!("Unable to resolve field: {field}")
}
