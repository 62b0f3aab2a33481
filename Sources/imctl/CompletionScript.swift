// What the generated completion scripts lack: in bash candidates that are taken literally, and words with @ and : in
// them; in zsh an exclamation mark that is one; in fish candidates for programs.

enum CompletionScript {
    /// The script as ArgumentParser made it, mended where it is one for imctl.
    static func mended(_ script: String) -> String {
        let last = "complete -o filenames -F _imctl imctl"
        if script.hasPrefix("#!/bin/bash\n"), script.hasSuffix(last) {
            return script.dropLast(last.count) + bash
        }
        if script.hasPrefix("#compdef imctl\n") {
            // zsh quotes what stands for history only while that option is set.
            return script.replacing("    unsetopt aliases banghist\n", with: "    unsetopt aliases\n")
        }
        if script.hasPrefix("function __imctl") {
            // fish knows no cursor where its completions are asked for by a program, and nothing here depends on it.
            return script.replacing("(__imctl_tokens -tC)", with: "0")
        }
        return script
    }

    /// `compgen -W` expands its words, so that a contact's name could run a command. Readline ends words at `@` and
    /// `:` and replaces only what is behind.
    private static let bash = #"""
        __imctl_add_completions() {
            local candidate quoted
            if [[ "${1}" = -W ]]; then
                while IFS='' read -r candidate; do
                    printf -v quoted %q "${candidate}"
                    [[ -n "${candidate}" && "${quoted}" = "${cur}"* ]] && COMPREPLY+=("${quoted}")
                done <<<"${2}"
            else
                compopt -o filenames 2>/dev/null
                while IFS='' read -r candidate; do
                    COMPREPLY+=("${candidate}")
                done < <(compgen "${@}" -- "${cur}")
            fi
        }

        _imctl_whole_words() {
            local rest="${COMP_LINE:0:${COMP_POINT}}" word blank
            local -i index
            local -a whole=()
            for ((index = 0; index <= COMP_CWORD; index++)); do
                blank="${rest%%[![:space:]]*}"
                rest="${rest:${#blank}}"
                word="${COMP_WORDS[index]}"
                ((index < COMP_CWORD)) || word="${rest}"
                if [[ -n "${blank}" || index -eq 0 ]]; then
                    whole+=("${word}")
                else
                    whole[-1]+="${word}"
                fi
                rest="${rest:${#word}}"
            done

            local -a COMP_WORDS=("${whole[@]}")
            local -i COMP_CWORD="$((${#whole[@]} - 1))"
            local -r current="${whole[-1]}"
            local previous=''
            ((COMP_CWORD == 0)) || previous="${whole[-2]}"
            _imctl "${1}" "${current}" "${previous}"

            local -r typed="${current:0:$((${#current} - ${#2}))}"
            COMPREPLY=("${COMPREPLY[@]#"${typed}"}")
        }

        complete -F _imctl_whole_words imctl
        """#
}
