# follow, on a terminal of 80 columns and in a file.
. "$(dirname "$0")/lib.sh"
need tmux
origin_start
noise f 1000000
start -o transfer.idle_timeout=1h
job j "$ORIGIN/f?hold=500000"
head -c 500000 "$M/j/files/f" >/dev/null
tmux -S "$T/tmux" -f /dev/null new-session -d -x 80 -y 24 \
	"cat $M/j/follow; tmux -S $T/tmux wait-for -S done; read _"
cat "$M/j/follow" >"$T/file" &
reader=$!
# the bar shows half of the file while the rest is held back
while :; do
	screen=$(tmux -S "$T/tmux" capture-pane -p)
	case $screen in *50%*) break ;; esac
	cat "$M/j/events" >/dev/null
done
release
tmux -S "$T/tmux" wait-for done
wait "$reader"
# what was written to the terminal tmux may read after that
while :; do
	screen=$(tmux -S "$T/tmux" capture-pane -p | sed '/^ *$/d')
	case $screen in *transferred*) break ;; esac
	cat "$M/j/events" >/dev/null
done
tmux -S "$T/tmux" kill-server
is "$(printf '%s\n' "$screen" | wc -l)" "$(printf '%s\n' "$screen" | tail -n 2 | wc -l)" "lines on the terminal"
# in a file: at most 80 columns between the returns, and the last line is the word
is "$(tail -n 1 "$T/file" | tr '\r' '\n' | tail -n 1 | awk '{ print ($0 ~ /transferred/) }')" 1 "the last line"
tr '\r' '\n' <"$T/file" | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' | awk '{ if (length > 80) { print; bad = 1 } } END { exit bad }' ||
	fail "longer than 80 columns"
# a job that rests: at once
has "$(cat "$M/j/follow")" transferred "follow of a job that rests"
stop
