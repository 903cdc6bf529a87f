//! What `kubectl wsp` prints about an annotation that it wrote.

use serde::Serialize;

use super::{
    PluginError,
    annotation::Annotation,
    print::{Format, print},
};

/// Prints what was written, and where.
pub(super) fn print_written(
    format: Format,
    annotation: &Annotation,
    place: &str,
    changed: bool,
) -> Result<std::process::ExitCode, PluginError> {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        annotation: &'a Annotation,
        place: &'a str,
        changed: bool,
    }
    let written = Written {
        annotation,
        place,
        changed,
    };
    print(format, &written, || {
        let Annotation { key, value } = annotation;
        if changed {
            format!("{place}: {key}: {value}\n")
        } else {
            format!("{place}: unchanged, {key}: {value} already exists\n")
        }
    })
}
