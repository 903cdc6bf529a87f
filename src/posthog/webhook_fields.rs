//! Which inputs the webhook of a source needs before it takes an event. The names differ by type.

/// The names by type, as `PostHog`'s configurations of sources have them in `webhookFields`, all of them required
/// (`sources/<type>/source.py`).
const FIELDS: [(&str, &[&str]); 11] = [
    ("browseai", &["webhook_token"]),
    ("customerio", &["signing_secret"]),
    ("gitea", &["signing_secret"]),
    ("github", &["signing_secret"]),
    ("instantly", &["signing_secret"]),
    ("mailgun", &["signing_secret"]),
    ("pipedrive", &["http_auth_user", "http_auth_password"]),
    ("sparkpost", &["authorization_header"]),
    ("stripe", &["signing_secret"]),
    ("workos", &["signing_secret"]),
    ("zapsign", &["authorization_header"]),
];

/// What the webhook of a source of this type needs, as far as this version knows.
#[must_use]
pub fn of_type(source_type: &str) -> &'static [&'static str] {
    let letters = source_type.chars().filter(char::is_ascii_alphanumeric);
    let wanted = letters.collect::<String>().to_ascii_lowercase();
    let known = FIELDS.iter().find(|(name, _)| *name == wanted);
    known.map_or(&[], |(_, fields)| fields)
}
