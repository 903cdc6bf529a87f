//! The content of a YAML file, with positions.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// A part of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// Its content.
    pub content: Content,
    /// Its position, in bytes.
    pub at: Range<usize>,
    /// True if it has an anchor (`&name`), so that it may be used in other places too.
    pub anchored: bool,
    /// Its tag (`!name`), if it has one.
    pub tag: Option<String>,
}

/// The content of a part of a document.
#[derive(Debug)]
pub(super) enum Content {
    /// A text, a number, or nothing.
    Scalar {
        /// Its value.
        text: String,
        /// Its notation.
        style: ScalarStyle,
    },
    /// Names and values.
    Map {
        /// True for `{a: b}`.
        flow: bool,
        /// In the order of the file.
        entries: Vec<(Node, Node)>,
    },
    /// Values.
    List(Vec<Node>),
    /// `*name`.
    Alias,
}

impl Node {
    /// The value of a field of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A field of a map: key and value.
    pub(super) fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        let Content::Map { entries, .. } = &self.content else {
            return None;
        };
        entries.iter().find(|(name, _)| name.is(key))
    }

    /// True for a scalar with this text.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(&self.content, Content::Scalar { text, .. } if text == wanted)
    }

    /// True if both have the same content, apart from positions.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let same_content = match (&self.content, &other.content) {
            (
                Content::Scalar { text, style },
                Content::Scalar {
                    text: other_text,
                    style: other_style,
                },
            ) => text == other_text && style == other_style,
            (
                Content::Map { entries, flow },
                Content::Map {
                    entries: others,
                    flow: other_flow,
                },
            ) => {
                flow == other_flow
                    && entries.len() == others.len()
                    && entries.iter().zip(others).all(|(one, other)| {
                        one.0.says_the_same(&other.0) && one.1.says_the_same(&other.1)
                    })
            }
            (Content::List(items), Content::List(others)) => {
                items.len() == others.len()
                    && items
                        .iter()
                        .zip(others)
                        .all(|(one, other)| one.says_the_same(other))
            }
            (Content::Alias, Content::Alias) => true,
            _ => false,
        };
        same_content && self.anchored == other.anchored && self.tag == other.tag
    }
}

/// The documents of a file.
pub(super) fn read(text: &str) -> Result<Vec<Node>, String> {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let event = event.map_err(|error| format!("it is not valid YAML: {error}"))?;
        if !matches!(event.0, Event::Comment(..)) {
            events.push(event);
        }
    }
    let mut events = events.into_iter();
    let mut documents = Vec::new();
    while let Some((event, _)) = events.next() {
        if matches!(event, Event::DocumentStart(..)) {
            let first = events.next().ok_or(ENDS)?;
            documents.push(node(first, &mut events)?);
        }
    }
    Ok(documents)
}

const ENDS: &str = "it ends in the middle of a document";

type Events<'a> = std::vec::IntoIter<(Event<'a>, Span)>;

/// The node that begins with this event. Its depth is limited by the parser.
fn node<'a>((event, span): (Event<'a>, Span), events: &mut Events<'a>) -> Result<Node, String> {
    let mut at = span.byte_range().ok_or("a part of it cannot be located")?;
    let (content, anchor, tag) = match event {
        Event::Scalar(text, style, anchor, tag) => {
            let text = text.into_owned();
            (Content::Scalar { text, style }, anchor, tag)
        }
        Event::MappingStart(style, anchor, tag) => {
            let mut entries = Vec::new();
            at.end = loop {
                match events.next().ok_or(ENDS)? {
                    (Event::MappingEnd, span) => break end(span),
                    first => {
                        let key = node(first, events)?;
                        let value = node(events.next().ok_or(ENDS)?, events)?;
                        entries.push((key, value));
                    }
                }
            };
            let flow = style == StructureStyle::Flow;
            (Content::Map { flow, entries }, anchor, tag)
        }
        Event::SequenceStart(_, anchor, tag) => {
            let mut items = Vec::new();
            at.end = loop {
                match events.next().ok_or(ENDS)? {
                    (Event::SequenceEnd, span) => break end(span),
                    first => items.push(node(first, events)?),
                }
            };
            (Content::List(items), anchor, tag)
        }
        Event::Alias(_) => (Content::Alias, 0, None),
        _ => return Err("it has a part that is not known".to_owned()),
    };
    Ok(Node {
        content,
        at,
        anchored: anchor != 0,
        tag: tag.map(|tag| tag.original()),
    })
}

fn end(span: Span) -> usize {
    span.byte_range().map_or(0, |range| range.end)
}
