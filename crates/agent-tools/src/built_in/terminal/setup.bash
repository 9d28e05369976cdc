# Makes an interactive bash say in its terminal when a command begins and when it is done.
# __NONCE__ and __FILE__ are filled in. The control bytes stay escapes here, so that a dump of the
# shell's variables and functions forms no marker.
set +o history +o histexpand
unset HISTFILE MAIL MAILCHECK MAILPATH
__terminal_number=0
__terminal_ended=
# Standard output is /dev/null in all of this, so that traps of the user's say nothing here.
__terminal_begin() {
    local status=$?
    __terminal_number=$1
    # its folder was removed
    if [[ -n ${2-} ]]; then builtin cd -- "$2" || :; fi
    # What ended since the last command. Bash would tell only after this one. That a job runs is no news.
    builtin jobs -nr > /dev/null || :
    builtin jobs -n > /dev/tty || :
    IFS= builtin read -r -d '' __terminal_command < '__FILE__'
    builtin printf '\036__NONCE__:begin\035%s\037' "$__terminal_number" > /dev/tty
    # $? of the command before is there for this one; under `set -e` it would end the shell
    case $- in *e*) return 0 ;; esac
    return "$status"
}
__terminal_end() {
    local status=$?
    # unlike an assignment, this goes on where a variable is readonly
    builtin printf -v PROMPT_COMMAND %s '{ __terminal_prompt; } > /dev/null 2>&1' || :
    return "$status"
}
__terminal_prompt() {
    local status=$? folder=${PWD-} path=${PATH-} name unread
    # the server gives up on a marker that is too long
    folder=${folder:0:6000} path=${path:0:6000}
    # The shell would take for commands what the last one left unread. A second prompt after a
    # command, as an interrupt makes one, leaves the next command alone.
    if [[ $__terminal_ended != "$__terminal_number" ]]; then
        __terminal_ended=$__terminal_number
        for ((unread = 0; unread < 5000; unread++)); do
            builtin read -r -t 0 < /dev/tty || break
            builtin read -r -t 0.1 name < /dev/tty || :
        done
    fi
    builtin printf '\036__NONCE__:prompt\035%s\035%s\035%s\035%s\037' \
        "$__terminal_number" "$status" "${folder//[[:cntrl:]]/?}" "${path//[[:cntrl:]]/?}" > /dev/tty
    # Only where it is needed: bash still points to what it shows as a prompt after a cut-off line, and
    # would show freed memory then.
    for name in PS0 PS1 PS2; do
        [[ -z ${!name-} ]] || builtin printf -v "$name" %s '' || :
    done
}
__terminal_end
