# A wrong checksum is an error of its file, which can never be completed; a right one is shown.
. "$(dirname "$0")/lib.sh"
need getfattr
nginx_start
noise good 3000000
noise bad 3000000
noise other 100000
start
cd "$M"
mkdir j
sum=$(sum "$W/good")
cat >j/add <<LIST
$URL/good sha256=$sum
$URL/bad sha256=$sum
$URL/other md5=$(md5sum <"$W/other" | cut -d' ' -f1)
LIST
echo 1 >j/resume
is "$(cat j/wait)" error "wait"
is "$(value j/error code)" checksum code
is "$(value j/error file)" bad file
is "$(value j/progress files_transferred)" 2 files_transferred
is "$(getfattr --only-values -n user.xferfs.sha256 j/files/good)" "$sum" "the attribute"
is "$(errno "$M/j/complete" all)" EBUSY "complete all"
echo 1 >j/complete
cmp "$W/good" "$D/good"
cmp "$W/other" "$D/other"
missing "$D/bad"
is "$(value .xferfs/ended/j result)" partial "result"

# again after the server was mended
mkdir k
echo "$URL/bad sha512=$(sha512sum <"$W/good" | cut -d' ' -f1)" >k/add
echo 1 >k/resume
is "$(cat k/wait)" error "sha512"
cp "$W/good" "$W/.next"
mv "$W/.next" "$W/bad"
echo 1 >k/resume
is "$(cat k/wait)" transferred "after the server was mended"
echo 1 >k/complete
cmp "$W/good" "$D/bad"
# size= is such a promise too
mkdir l
echo "$URL/other size=5" >l/add
echo 1 >l/resume
is "$(cat l/wait)" error "a wrong size"
is "$(value l/error code)" size "its code"
rmdir l
cd /
stop
