//! What `kubectl wsp` prints about an annotation that it wrote.

use serde::Serialize;

use super::{
    PluginError,
    mark::Mark,
    print::{Format, print},
};

/// Prints what was written, and where.
pub(super) fn tell(
    format: Format,
    mark: &Mark,
    place: &str,
    changed: bool,
) -> Result<std::process::ExitCode, PluginError> {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        mark: &'a Mark,
        place: &'a str,
        changed: bool,
    }
    let told = Told {
        mark,
        place,
        changed,
    };
    print(format, &told, || {
        let Mark { annotation, value } = mark;
        if changed {
            format!("{place}: {annotation}: {value}\n")
        } else {
            format!("{place}: unchanged, {annotation}: {value} already exists\n")
        }
    })
}
