//! Hides keys from programs that agents start: once the configuration is loaded, keys are removed from the
//! environment that others can read of this process.

use std::{
    ffi::{CStr, OsStr, OsString, c_char},
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use workspace::is_passed;

use crate::config::Loaded;

/// The program's own settings, which may be keys.
const SETTINGS: [&str; 3] = ["OH_", "LLM_", "SESSION_API_KEY"];
/// Libraries may refer to these from the moment the program was loaded.
const LOADER_PREFIXES: [&str; 3] = ["LD_", "GLIBC_", "MALLOC_"];

/// Keeps other processes of the same user from reading this one's environment and memory (not those of
/// root). There are no core dumps after this either.
///
/// # Errors
/// When the system refuses.
pub(crate) fn forbid_reading() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// The environment as it is now, for programs that need all of it.
pub(crate) fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// Removes the program's settings, and the variables that its webhooks name, from the environment. In the
/// block that the system shows of it (`/proc/PID/environ`), overwrites everything that agents' processes do
/// not get anyway. Variables that are not settings stay for this program to use.
///
/// # Errors
/// When there is more than one thread by now: then nothing is changed.
pub(crate) fn hide(loaded: &Loaded) -> io::Result<()> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(io::Error::other(format!("{threads} threads run already")));
    }
    let added = &loaded.settings.tool_environment;
    overwrite(|name, value| {
        let is_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if is_any(&SETTINGS) || loaded.secret_variables.contains(name) {
            Fate::Removed
        } else if is_any(&LOADER_PREFIXES) || is_passed(name, value, added) {
            Fate::Shown
        } else {
            Fate::Hidden
        }
    });
    Ok(())
}

/// What becomes of a variable.
enum Fate {
    Shown,
    /// This program still has it; others do not see it.
    Hidden,
    Removed,
}

#[expect(
    unsafe_code,
    reason = "there is no other way to the block that the system shows"
)]
fn overwrite(fate: impl Fn(&str, &str) -> Fate) {
    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }
    let mut block = Vec::new();
    // SAFETY: This is the only thread, so nobody changes the list or reads a variable meanwhile. The list
    // ends with a null; its entries are texts that end with a zero and lie in writable memory. Each is
    // copied before the environment is changed, and overwritten only after the environment has lost it
    // or holds a copy of its own, so that nothing refers to it any more.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            block.push(*at);
            at = at.add(1);
        }
        for entry in block {
            let text = CStr::from_ptr(entry).to_bytes().to_vec();
            // a name has at least one character, which may be `=`
            let Some(end) = text.iter().skip(1).position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = (OsStr::from_bytes(&text[..=end]), &text[end + 2..]);
            if name.as_bytes().contains(&b'=') {
                continue;
            }
            match fate(&name.to_string_lossy(), &String::from_utf8_lossy(value)) {
                Fate::Shown => continue,
                Fate::Hidden => std::env::set_var(name, OsString::from_vec(value.to_vec())),
                Fate::Removed => std::env::remove_var(name),
            }
            entry.write_bytes(0, text.len());
        }
    }
}
