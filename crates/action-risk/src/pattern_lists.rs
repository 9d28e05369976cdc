//! The patterns that are searched for where a client gives none of its own: regular expression, what it is
//! about, name.

pub(crate) type List = &'static [(&'static str, &'static str, &'static str)];

/// In arguments of any tool: code that runs commands.
pub(crate) const CODE_HIGH: List = &[
    (
        r"\b(?:eval|exec)\s*\(",
        "code that runs a text as code",
        "code.eval",
    ),
    (
        r"\bos\s*\.\s*(?:system|popen|exec[a-z]{1,3}|spawn[a-z]{1,3})\s*\(",
        "code that runs a command",
        "code.os-command",
    ),
    (
        r"\bsubprocess\s*\.\s*[a-z0-9_]{1,20}\s*\(",
        "code that runs a command",
        "code.subprocess",
    ),
    (
        r"\bchild_process\b",
        "code that runs a command",
        "code.child-process",
    ),
    (
        r"\bshutil\s*\.\s*rmtree\s*\(",
        "code that deletes a folder",
        "code.delete-folder",
    ),
];

/// In arguments that are not commands, such as the contents of a file. Commands are read as syntax.
pub(crate) const TEXT_HIGH: List = &[
    (
        r"\brm\s+(?:-{1,2}[a-z0-9-]{1,20}\s+){0,4}(?:-[a-z]{0,6}r[a-z]{0,6}f|-[a-z]{0,6}f[a-z]{0,6}r|-r\s+-f\b|-f\s+-r\b|--recursive\s+--force|--force\s+--recursive)",
        "text that deletes folders without asking",
        "text.delete-by-force",
    ),
    (
        r"\bsudo\s+(?:-\S{1,20}\s+){0,4}rm\s",
        "text that deletes as the administrator",
        "text.delete-as-administrator",
    ),
    (
        r"\bmkfs(?:\.[a-z0-9]+)?\s+\S",
        "text that formats a disk",
        "text.format-disk",
    ),
    (
        r"\bdd\b[^\n]{0,200}\bof=/dev/(?:[sh]d|nvme|vd|mmcblk|disk)",
        "text that overwrites a disk",
        "text.overwrite-disk",
    ),
    (
        r"\b(?:curl|wget)\b[^|\n]{0,300}\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b",
        "text that runs what it gets from the network",
        "text.fetch-to-exec",
    ),
];

pub(crate) const TEXT_MEDIUM: List = &[(
    r"\b(?:curl|wget)\b[^\n]{0,200}\b(?:https?|ftp)://",
    "text that uses the network",
    "text.fetch",
)];

/// In everything, also in what the agent thinks.
pub(crate) const INJECTION_HIGH: List = &[(
    r"\b(?:ignore|disregard|forget|bypass|override|discard)\b[a-z\s,']{0,24}\b(?:previous|prior|earlier|above|preceding)\b[a-z\s,']{0,24}\b(?:instruction|prompt|rule|directive|order|guideline)s?\b",
    "asks an agent to break its rules",
    "injection.break-rules",
)];

pub(crate) const INJECTION_MEDIUM: List = &[
    (
        r"\byou\s+(?:are|will\s+be)\s+now\s+(?:in\s+)?(?:an?\s+)?(?:[a-z0-9_]{1,20}\s+){0,2}mode\b",
        "tells an agent to change its mode",
        "injection.change-mode",
    ),
    (
        r"\b(?:pretend|act)\s+(?:to\s+be|as\s+if\s+you\s+(?:are|were)|(?:that\s+)?you\s+are)\b[a-z\s]{0,24}\b(?:different|another|other|unrestricted)\b",
        "tells an agent to be another one",
        "injection.change-identity",
    ),
];
