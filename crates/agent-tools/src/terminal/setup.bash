# Makes an interactive bash say in its terminal when a command begins and when it is done.
# __NONCE__ and __FILE__ are filled in. The control bytes stay escapes here, so that a dump of the
# shell's variables and functions forms no marker.
set +o history +o histexpand
unset HISTFILE MAIL MAILCHECK MAILPATH
__terminal_number=0
__terminal_begin() {
    local status=$?
    __terminal_number=$1
    IFS= builtin read -r -d '' __terminal_command < '__FILE__'
    builtin printf '\036__NONCE__:begin\035%s\037' "$__terminal_number"
    # $? of the command before is there for this one; under `set -e` it would end the shell
    case $- in *e*) return 0 ;; esac
    return "$status"
}
__terminal_end() {
    local status=$?
    PROMPT_COMMAND='{ __terminal_prompt; } > /dev/tty 2> /dev/null'
    PS0= PS1= PS2=
    return "$status"
}
__terminal_prompt() {
    local status=$?
    PS0= PS1= PS2=
    builtin printf '\036__NONCE__:prompt\035%s\035%s\035%s\035%s\037' \
        "$__terminal_number" "$status" "${PWD-}" "${PATH-}"
}
__terminal_end
