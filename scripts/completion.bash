# SPDX-License-Identifier: GPL-3.0-or-later
# bash completion for ruche. Options come from `ruche --help`; what can follow `ruche ctl` is
# asked of the instance that runs, so that guests, groups and options of commands are known.

# Options in the help text, those of `run` only if $1 is run.
_ruche_options() {
    "$2" --help 2>/dev/null | awk -v run="$1" '
        /^Options of run/ {if (run != "run") exit}
        /^  -/ || /^  --/ {while (match($0, /--[a-z][a-z-]*/)) {print substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH)}}'
}

# The mode: first word behind the name, if it is one.
_ruche_mode() {
    case "${COMP_WORDS[1]-}" in
    run | ctl | lint | doctor) [ "$COMP_CWORD" -gt 1 ] && printf '%s' "${COMP_WORDS[1]}" ;;
    esac
}

# Where the command begins in `ruche ctl [--json] [--socket PATH] COMMAND...`
_ruche_ctl() {
    local i=2 ask=("$1" ctl) line
    while [ "$i" -lt "$COMP_CWORD" ]; do
        case "${COMP_WORDS[i]}" in
        --json) i=$((i + 1)) ;;
        --socket) ask+=(--socket "${COMP_WORDS[i + 1]-}"); i=$((i + 2)) ;;
        *) break ;;
        esac
    done
    if [ "$i" -ge "$COMP_CWORD" ] && [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--json --socket' -- "$cur")
        return
    fi
    line="${COMP_WORDS[*]:i:COMP_CWORD-i}"
    mapfile -t COMPREPLY < <("${ask[@]}" complete "${line:+$line }$cur" 2>/dev/null)
}

_ruche() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD - 1]}" mode
    mode="$(_ruche_mode)"
    COMPREPLY=()
    if [ "$mode" = ctl ] && [ "$prev" != --socket ]; then
        _ruche_ctl "$1"
        return
    fi
    case "$prev" in
    --accel) mapfile -t COMPREPLY < <(compgen -W 'auto kvm soft' -- "$cur"); return ;;
    --irqchip) mapfile -t COMPREPLY < <(compgen -W 'kernel user' -- "$cur"); return ;;
    --boot) mapfile -t COMPREPLY < <(compgen -W 'auto direct bzimage' -- "$cur"); return ;;
    --exec | -e | --name | -n | --theme | --memory | -m | --vcpus | -c | --append | -a | --share | --cap | --pin) return ;;
    esac
    case "$mode:$cur" in
    doctor:*) ;;
    *:-*) mapfile -t COMPREPLY < <(compgen -W "$(_ruche_options "$mode" "$1")" -- "$cur") ;;
    run:*) mapfile -t COMPREPLY < <(compgen -W 'debian hello spin memhog chatty flood rogue selftest' -- "$cur"; compgen -f -- "$cur") ;;
    :*) [ "$COMP_CWORD" -gt 1 ] || mapfile -t COMPREPLY < <(compgen -W 'run ctl lint doctor' -- "$cur")
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}

complete -o filenames -F _ruche ruche
