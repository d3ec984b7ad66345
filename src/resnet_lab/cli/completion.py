"""What bash, zsh and fish complete: commands, options, groups, keys and values. Free of torch, and of Hydra.

The script of a shell asks `resnet-lab completion SHELL --of "the line so far"`, and gets a candidate a line.
"""

import re
from argparse import SUPPRESS, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from resnet_lab.arguments import KEYS
from resnet_lab.cli.parser import known_dirs
from resnet_lab.config.groups import config_dir, groups, own_dirs
from resnet_lab.errors import unknown
from resnet_lab.extras import Command, command, commands, option

SCRIPTS = {
    # bash begins a word anew after = and :, so what stands before them is not to be repeated.
    "bash": """\
_resnet_lab() {
    local line="${COMP_LINE:0:COMP_POINT}" word IFS=$'\\n'
    word="${line##*[[:space:]]}"
    COMPREPLY=($(resnet-lab completion bash --of "$line" 2>/dev/null))
    [[ "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace 2>/dev/null
    local before="${word%"${word##*[=:]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -o default -F _resnet_lab resnet-lab
""",
    "zsh": """\
#compdef resnet-lab
_resnet_lab() {
    local -a found open whole
    found=("${(@f)$(resnet-lab completion zsh --of "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    [[ -z "$found" ]] && { _files; return }
    open=(${(M)found:#*[=.]})
    whole=(${found:#*[=.]})
    compadd -Q -S '' -- $open
    compadd -Q -- $whole
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _resnet_lab resnet-lab
""",
    "fish": """\
function __resnet_lab
    set -l found (resnet-lab completion fish --of (commandline -cp | string collect) 2>/dev/null)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c resnet-lab -f -a '(__resnet_lab)'
""",
}


@command(
    "set up",
    "print a script that lets bash, zsh or fish complete commands, options and keys",
    'eval "$(resnet-lab completion bash)"',
    option("shell bash|zsh|fish", "the shell"),
    option("--of LINE", SUPPRESS),  # what the shells ask
)
def completion(args: Namespace) -> int:
    if args.shell not in SCRIPTS:
        raise unknown("shell", args.shell, SCRIPTS)
    print(SCRIPTS[args.shell] if args.of is None else complete(args.of), end="")
    return 0


def complete(line: str) -> str:
    """Return the candidates for the last word of a line, each in a line; none where a file is wanted."""
    *before, word = line.split(" ") if line.endswith(" ") else line.split() or [""]
    words = [each for each in before[1:] if each]
    known_dirs(words)
    known = commands()
    name = next((each for each in words if each in known), None)
    found = _of_command(known[name], words, word) if name else [*known, "--help", "--version"]
    return "".join(f"{each}\n" for each in dict.fromkeys(found) if each.startswith(word))


def _of_command(asked: Command, words: list[str], word: str) -> Iterable[str]:
    last = next((each for each in asked.options if words[-1] in each.names), None)
    if last is not None and last.takes_value and (values := list(last.choices())):
        return values
    if word.startswith("-"):
        names = (name for each in asked.options for name in each.names if each.given["help"] != SUPPRESS)
        return [*(name for name in names if name.startswith("-")), "--help"]
    if KEYS in asked.options:
        return _overrides(word)
    return [value for each in asked.options if not each.names[0].startswith("-") for value in each.choices()]


def _overrides(word: str) -> Iterator[str]:
    """Yield groups and keys, as far as the next dot; behind a =, the values, of which a comma begins another."""
    key, equals, value = word.partition("=")
    known = groups()
    if equals:
        begin = word[: len(word) - len(value.rpartition(",")[2])]
        yield from (f"{begin}{each}" for each in known.get(key) or _values(key))
        return
    yield from (f"{group}=" for group in known)
    from resnet_lab.config.schema import TrainConfig
    from resnet_lab.fields import keys

    depth = key.count(".")
    for each in (*keys(TrainConfig), *_hydra_keys()):
        parts = each.split(".")
        if len(parts) > depth + 1:
            yield ".".join(parts[: depth + 1]) + "."
        elif each not in known:
            yield f"{each}="


def _hydra_keys() -> Iterator[str]:
    """Yield the options of every launcher and sweeper: the keys of their files."""
    for kind in ("launcher", "sweeper"):
        for root in (*own_dirs(), config_dir()):
            for file in sorted(Path(root, "hydra", kind).glob("*.yaml")):
                for name in re.findall(r"^([a-z]\w*):", file.read_text(), re.MULTILINE):
                    yield f"hydra.{kind}.{name}"


def _values(key: str) -> Iterable[str]:
    """Return the words that a key takes; none where it takes any."""
    from resnet_lab.config.schema import TrainConfig
    from resnet_lab.fields import keys

    if key not in (known := keys(TrainConfig)):
        return ()
    choices, hint = known[key].field.metadata.get("choices", ()), known[key].hint
    words = list(choices() if callable(choices) else choices)
    return [*words, *(("true", "false") if bool in (hint, *get_args(hint)) else ())]
