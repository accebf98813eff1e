# nettop's completion for fish: nettop completion fish | source
function __nettop_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in ($words[1] completion fish -- $words "$word" 2>/dev/null)
        if test "$line" = @files
            __fish_complete_path (commandline -ct)
        else
            echo -- $line
        end
    end
end
complete -c nettop -f -a '(__nettop_complete)'
