# Control files are files: who seeks reads on from there, a value of several lines may come line by line,
# >> adds to it, and a name that is refused has its sentence.
. "$(dirname "$0")/lib.sh"
start
cd "$M"
mkdir j

# --- reading from the middle
is "$(dd if=j/state bs=1 skip=3 2>/dev/null)" pended "dd skip"
is "$(tail -c 4 j/state)" ded "tail -c"
is "$("$python" -c 'import os; print(os.pread(os.open("j/priority", os.O_RDONLY), 3, 2).decode())')" rma pread

# --- two writes of one open file, as bash's printf makes them
{ echo 'A: 1'; echo 'B: 2'; } >j/headers
is "$(cat j/headers)" "A: 1
B: 2" "headers, line by line"
echo 'C: 3' >>j/headers
is "$(cat j/headers)" "A: 1
B: 2
C: 3" ">> headers"
{ echo 'D: 4'; echo 'no header'; echo 'E: 5'; } >j/headers 2>/dev/null && fail "a bad line was taken"
is "$(cat j/headers)" "D: 4" "nothing behind a refused line"
has "$(cat j/refused)" headers: "refused"
echo 'F: 6' >j/headers
is "$(cat j/headers)" "F: 6" "a new open begins anew"
# of other values the last write counts
{ echo high; echo low; } >j/priority
echo normal >>j/priority
is "$(cat j/priority)" normal ">> priority"

# --- names
mkdir .hidden 2>/dev/null && fail "mkdir .hidden"
has "$(cat .xferfs/refused)" "mkdir: a job's name" "mkdir's sentence"
mv -T j .hidden 2>/dev/null && fail "mv j .hidden"
has "$(cat j/refused)" "mv: a job's name" "mv's sentence"
mkdir -p "$D/sub/dir"
echo sub/dir/ >j/destination
is "$(cat j/destination)" sub/dir "as the shell completes a directory"
echo 'logger "job done' >j/notify 2>/dev/null && fail "a quote that is not closed"
has "$(cat j/refused)" quote "notify's sentence"

# --- a destination that is gone
rmdir j
rm -rf "$D"
df "$M" >/dev/null || fail "df fails"
mkdir k 2>/dev/null && fail "a job that cannot be kept"
has "$(cat .xferfs/refused)" deleted "the reason"
cd /
ALLOWED='<3>.*staging area was deleted'
stop
