#!/bin/sh
# What every shell can do with descriptors: pipes, here-documents, redirections, subshells,
# background jobs.
set -e
printf 'one\ntwo\nthree\n' | sort -r | tr a-z A-Z
cat <<EOF
here $((6 * 7))
EOF
exec 3>file
echo to three >&3
exec 3>&-
cat <file
(exit 3) || echo "status $?"
(sleep 0.1; echo child) &
wait $!
echo substituted "$(echo inner | cat)"
trap 'echo trapped' USR1
kill -USR1 $$
echo missing 2>/dev/null <nowhere || echo "no such file"
if (echo ambiguous >&7) 2>/dev/null; then echo "7 is open"; else echo "7 is closed"; fi
for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i"; done | while read -r n; do echo "n=$n"; done
