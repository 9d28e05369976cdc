use std::{fs, path::Path};

use core_model::ConversationId;

use super::MaintenanceError;
use crate::{
    config::{self, Overrides, Settings},
    console,
    flags::Flags,
};

/// Shorter beginnings of an id too easily match another one.
const MIN_DIGITS: usize = 6;

/// The configuration as the server would find it; warnings about it go to standard error.
///
/// # Errors
/// When it cannot be used.
pub(super) fn settings(
    config: Option<&Path>,
    before: &Flags,
) -> Result<Settings, MaintenanceError> {
    let mut overrides: Overrides = before.overrides.clone();
    overrides.config = config.map(Path::to_owned).or(overrides.config);
    let loaded = config::load_without_webhooks(&overrides, &crate::environment())?;
    for notice in &loaded.notices {
        console::error_line(format_args!("warning: {notice}"));
    }
    Ok(loaded.settings)
}

/// The conversation that `text` means: an id, dashed or not, or its beginning.
///
/// # Errors
/// When none or more than one is meant.
pub(super) fn conversation(root: &Path, text: &str) -> Result<ConversationId, MaintenanceError> {
    let digits = text.trim().to_lowercase().replace('-', "");
    let is_beginning = (MIN_DIGITS..=32).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_beginning {
        return Err(MaintenanceError::NoId(text.to_owned()));
    }
    let mut found = conversations(root)?;
    found.retain(|id| id.hex().starts_with(&digits));
    match found[..] {
        [id] => Ok(id),
        [] => Err(MaintenanceError::NotFound {
            text: text.to_owned(),
            folder: root.to_owned(),
        }),
        _ => Err(MaintenanceError::Ambiguous {
            text: text.to_owned(),
            found,
        }),
    }
}

/// The ids of all conversations in a folder, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn conversations(root: &Path) -> Result<Vec<ConversationId>, MaintenanceError> {
    let at_root = |source| MaintenanceError::File {
        path: root.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(at_root)? {
        let name = entry.map_err(at_root)?.file_name();
        let id = name.to_str().and_then(|name| {
            let id: ConversationId = name.parse().ok()?;
            // Others, without dashes for one, are not the store's.
            (id.to_string() == name).then_some(id)
        });
        found.extend(id);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_its_beginning_if_only_one_has_it() {
        let root = tempfile::tempdir().unwrap();
        let ids = [
            "2f34c5cd-31d6-4dcf-acdf-cf89c5641e99",
            "2f34c5cd-31d7-4dcf-acdf-cf89c5641e99",
            "abcdef00-31d7-4dcf-acdf-cf89c5641e99",
        ];
        for id in ids {
            fs::create_dir(root.path().join(id)).unwrap();
        }
        // The reference's own folder of the same conversation.
        fs::create_dir(root.path().join("abcdef0031d74dcfacdfcf89c5641e99")).unwrap();
        let find = |text: &str| conversation(root.path(), text);
        for text in [
            ids[0],
            "2f34c5cd31d64dcfacdfcf89c5641e99",
            "2F34C5CD-31D6",
            "2f34c5cd31d6",
        ] {
            assert_eq!(find(text).unwrap().to_string(), ids[0]);
        }
        assert_eq!(find("abcdef").unwrap().to_string(), ids[2]);
        let error = find("2f34c5cd").unwrap_err().to_string();
        assert!(error.contains(ids[0]) && error.contains(ids[1]), "{error}");
        assert!(matches!(
            find("123456"),
            Err(MaintenanceError::NotFound { .. })
        ));
        for text in ["", "2f34c", "../../etc", "xyzxyz", &format!("{}0", ids[0])] {
            assert!(
                matches!(find(text), Err(MaintenanceError::NoId(_))),
                "{text}"
            );
        }
    }
}
